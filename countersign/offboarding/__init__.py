"""Ending a partner's access with proof: plan, approval, changes, verification, certificate."""
