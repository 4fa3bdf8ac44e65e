"""Operations by the SDK's model: what is asked, how the answer is read, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from countersign.clock import stamp

Item = Mapping[str, object]

_PREFIXES = {"accessanalyzer": "access-analyzer"}
"""Services whose permissions are not named like the service in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """An operation and how its answer is read."""

    service: str
    action: str
    items: str = ""
    """Member of the answer that holds the rows; for a single thing, the thing; empty: the answer itself is the thing."""
    reduce: Callable[[Item], Item] = field(default=lambda _item: {})
    """What is kept of a row as raw material: an allow-list."""
    start: str = "Marker"
    """Parameter and member that say where the next page starts."""
    size: Mapping[str, int] = field(default_factory=dict)
    covers: tuple[str, ...] = ()
    """Kinds of record that it is the listing of."""
    patient: bool = False
    """Whether to try on for long when AWS throttles or fails: for what a reading cannot do without."""

    @property
    def operation(self) -> str:
        """Name of the call and of its permission, such as `access-analyzer:ListFindings`."""
        return f"{_PREFIXES.get(self.service, self.service)}:{self.action}"


def keeping(*names: str) -> Callable[[Item], Item]:
    """Return what reduces an item to some of its fields, as JSON has them."""

    def reduce(item: Item) -> Item:
        return {name: plain(item[name]) for name in names if name in item}

    return reduce


def plain(value: object) -> object:
    """Turn an answer's value into JSON's own types; what has no such type becomes None."""
    if isinstance(value, datetime):
        return stamp(value) if value.tzinfo else str(value)
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value if isinstance(value, (str, int, float)) or value is None else None
