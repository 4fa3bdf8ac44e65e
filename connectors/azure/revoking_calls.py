"""The calls that looking and writing are made of: one object or none, a whole collection, and refusals as errors of revoking."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from connectors.azure.door import Refusal
from countersign.errors import ReadError
from countersign.revocation import RevocationDeniedError, RevocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from connectors.azure.door import Api, Door
    from countersign.fields import Row
    from countersign.revocation import Change, State

    Parameters = Mapping[str, Any]

GONE: State = {"exists": False}


@dataclass(frozen=True, slots=True)
class Action:
    """One kind of change."""

    looks: tuple[str, ...]
    writes: tuple[str, ...]
    look: Callable[[Door, Parameters], State]
    write: Callable[[Door, Door, Change], None]
    """Takes the reader's door, the revoker's, and the change."""


@contextmanager
def told(what: str = "reading") -> Iterator[None]:
    """Turn what the service refuses, or does not answer, into errors of revoking; `what`: which identity asks."""
    try:
        yield
    except Refusal as refusal:
        if refusal.denied:
            raise RevocationDeniedError(
                f"the service refused: {refusal}", fix=f"docs/connectors/azure.md has the permissions that {what} needs"
            ) from refusal
        raise RevocationError(f"the service did not do it: {refusal}") from refusal
    except ReadError as error:
        raise RevocationError(error.message, fix=error.fix) from error


def found(api: Api, path: str) -> Row | None:
    """GET one object; None where there is none (any more). Raises Refusal, ReadError."""
    try:
        return api.get(path)
    except Refusal as refusal:
        if refusal.gone:
            return None
        raise


def every(api: Api, path: str) -> tuple[Row, ...]:
    """GET a whole collection, empty where what it belongs to is gone. Raises Refusal, ReadError."""
    try:
        return tuple(row for page in api.pages(path) for row in page)
    except Refusal as refusal:
        if refusal.gone:
            return ()
        raise


def manager(door: Door) -> Api:
    """Return the way to Azure Resource Manager. Raises RevocationError where the source has none."""
    if door.manager is None:
        raise RevocationError("the source has no `management` address, so that nothing of Azure's can be seen or changed")
    return door.manager
