"""Tickets of ours that a listing does not show: each is asked for alone, and may be gone, moved, or open all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from countersign.desk import DeskError, DeskRefusedError, TicketGoneError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from countersign.desk import Desk

MOST = 50
"""More than this are not asked for one by one: then we may not see them any more."""
Number = TypeVar("Number", int, str)


def asked_alone(
    desk: Desk, numbers: Collection[Number], closed_at: Callable[[Number], datetime | None], prefix: str
) -> dict[str, datetime | None]:
    """Return when each of these tickets was closed, by the desk's ids; None: it is gone. Open ones are left out.

    `closed_at` reads one by its number, and returns None where it is open. Of one that cannot be read nothing is said. Raises DeskError
    where there are more than MOST, and DeskRefusedError where the desk refuses us.
    """
    if len(numbers) > MOST:
        raise DeskError(f"{desk.target} shows nothing of {len(numbers)} tickets that we made", fix="let our account see its tickets")
    found: dict[str, datetime | None] = {}
    for number in sorted(numbers):
        try:
            at = closed_at(number)
        except TicketGoneError:
            found[f"{prefix}{number}"] = None
        except DeskRefusedError:
            raise
        except DeskError:
            continue
        else:
            if at is not None:
                found[f"{prefix}{number}"] = at
    return found
