"""Fields of AWS answers, read the same whether botocore (typed) or the CLI's JSON (text) gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from countersign.clock import instant


def tags_of(detail: Mapping[str, object]) -> dict[str, str]:
    """Give an entry's tags by key."""
    return {text(tag, "Key"): text(tag, "Value") for tag in details(detail, "Tags") if text(tag, "Key")}


def moment(value: object) -> datetime | None:
    """Read a time as botocore (datetime) or the CLI's JSON (text) gives it, as UTC; None for anything else."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        return instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def details(page: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    """Give the entries of one list of a page; none where it is absent or no list."""
    listed = page.get(name)
    return (entry for entry in listed if isinstance(entry, Mapping)) if isinstance(listed, list) else iter(())


def text(detail: Mapping[str, object], name: str) -> str:
    """Give a text field, empty where it is absent or no text."""
    value = detail.get(name)
    return value if isinstance(value, str) else ""
