"""Pages that end: follows the tokens of a listing, and says so where they lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.errors import ReadError
from countersign.fields import Row, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.gcp.door import Door
    from connectors.gcp.permissions import Call

MOST_PAGES = 1000
"""Of one listing. Google's own quotas end any real one long before."""
MOST_EMPTY = 20
"""Pages without a row, one after the other; Google may send a few (AIP-158)."""


def pages(door: Door, call: Call, listing: str, asked: Row, *, most: int = MOST_PAGES) -> Iterator[tuple[tuple[Row, ...], int]]:
    """Yield the rows under `listing` page by page, and how many entries of the page are no objects.

    Raises ScopeDeniedError, GoneError or ReadError, as soon as a page fails or the tokens cannot be followed.
    """
    token, met, empty = "", set(), 0
    for number in range(1, most + 1):
        answer = door.ask(call, {**asked, "pageToken": token} if token else asked)
        value, following = answer.get(listing, []), answer.get("nextPageToken", "")
        if not isinstance(value, list):
            raise ReadError(call.name, f"`{listing}` on page {number} is not a list")
        page = listed(answer, listing)
        yield page, len(value) - len(page)
        if not following:
            return
        empty = 0 if page else empty + 1
        if not isinstance(following, str) or following in met or empty >= MOST_EMPTY:
            raise ReadError(call.name, f"page {number} promises more, and says nothing usable of where it starts")
        token = following
        met.add(token)
    raise ReadError(call.name, f"the listing did not end within {most} pages")
