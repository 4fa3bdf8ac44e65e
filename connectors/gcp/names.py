"""Resource names of Google Cloud."""

from __future__ import annotations


def tail(name: str | None) -> str | None:
    """Return the last part of a resource name; None when there is none."""
    return (name or "").rpartition("/")[2] or None
