"""Requests to Request Tracker's REST 2.0: its listings, and its changes that hold only if nobody was faster.

Sources: RT::REST2 in RT 5.0 (https://docs.bestpractical.com/rt/5.0.3/RT/REST2.html), and what a real 5.0.3 answers.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from countersign.desk import DeskError
from countersign.desk.wire import MOST_PAGES, an_object
from countersign.desk.wire import Wire as Http
from countersign.pace import budget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.desk_settings import RequestTracker

RATE = 20.0
"""Requests per second, on average and at most at once: RT has no limit of its own, but it serves people too."""
PAGE = 100
"""Items to a page; RT gives no more."""


class Wire:
    """Speaks to one server with one token; safe to share between threads, not between processes."""

    def __init__(self, settings: RequestTracker) -> None:
        url = settings.url.rstrip("/")
        pace = budget("request_tracker", url, units=RATE, seconds=1)
        self._http = Http(url, "/REST/2.0", token_from=settings.token_from, ca=settings.ca, sign=_signed, pace=pace)

    def token(self) -> str:
        """Return the token; raises DeskRefusedError when it is not where the settings say, or others can read it."""
        return self._http.token()

    def get(self, path: str, *, of_ticket: bool = False, **parameters: str | int) -> tuple[dict[str, Any], str]:
        """Return an object and its ETag (empty: none). `of_ticket`: that it is not there, or hidden, concerns this one alone."""
        answer = self._http.send("GET", path, of_ticket=of_ticket, params=parameters)
        return an_object(answer), answer.headers.get("ETag", "")

    def pages(self, path: str, *, of_ticket: bool = False, **parameters: str | int) -> Iterator[dict[str, Any]]:
        """Yield the items of a listing, page by page, until a page is empty: RT may not say how many pages there are."""
        for page in range(1, MOST_PAGES + 1):
            listing, _ = self.get(path, of_ticket=of_ticket, per_page=PAGE, page=page, **parameters)
            items = listing.get("items")
            if not isinstance(items, list) or not all(isinstance(item, dict) and str(item.get("id")).isdecimal() for item in items):
                raise DeskError(f"{self._http.url} gave a listing of something else than numbered items")
            yield from items
            last = listing.get("pages")
            if not items or (isinstance(last, int | float) and page >= last):
                return
        raise DeskError(f"{self._http.url} gave more than {MOST_PAGES} pages for {path}")

    def post(self, path: str, content: Mapping[str, object], *, of_ticket: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Send something new, once; raises AnswerLostError when it may have happened all the same."""
        return self._http.write("POST", path, content, of_ticket=of_ticket)

    def put(self, path: str, changes: Mapping[str, object], etag: str) -> tuple[str, ...] | None:
        """Change an object that is still as it was read; return what RT says about each change (it says so of refusals too).

        None: somebody changed it meanwhile, and nothing was done (412).
        """
        headers = {"If-Match": etag} if etag else {}
        gone = {HTTPStatus.PRECONDITION_FAILED}
        answer = self._http.send("PUT", path, of_ticket=True, passes=gone, json=dict(changes), headers=headers)
        if answer.status_code == HTTPStatus.PRECONDITION_FAILED:
            return None
        try:
            said = answer.json()
        except ValueError:
            said = None
        return tuple(str(line) for line in said) if isinstance(said, list) else ()


def _signed(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}", "Accept": "application/json"}
