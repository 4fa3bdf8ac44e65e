"""Drills: the ways that nobody uses every day, walked on identities made for it, and measured."""
