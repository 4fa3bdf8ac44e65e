"""The certificate of an offboarding as one page, made from what it says and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from countersign.report import template

if TYPE_CHECKING:
    from collections.abc import Mapping

ROWS = 200
"""Rows of each list that the page shows; the certificate itself holds all of them."""
_ORDER = ("still there", "no way", "undecided", "unknown", "excluded", "ended")


def html(made: Mapping[str, Any], digest: str) -> str:
    """Return the page of a certificate. `made`: the whole statement; `digest`: `sha256:...` of it, as it was signed."""
    said = made["predicate"]
    holdings = sorted(said["holdings"], key=lambda row: (_ORDER.index(row["verdict"]), row["provider"], row["scope"], row["uid"]))
    steps = {step["id"]: step for step in said["steps"]}
    places = [(scope, [step for step in said["steps"] if _place(step) == _place(scope)]) for scope in said["scopes"]]
    rendered: str = template("certificate.html.j2").render(
        said=said,
        digest=digest,
        rows=ROWS,
        holdings=holdings,
        counts={verdict: sum(row["verdict"] == verdict for row in holdings) for verdict in _ORDER},
        proofs=[row for row in holdings if row["proof"] is not None],
        places=places,
        names={uid: step["name"] for step in steps.values() for uid in step["takes"]},
        by_id=steps,
        subjects=[(each["name"], each["digest"]["sha256"]) for each in made["subject"]],
        took=took,
        state=_state,
        when=_when,
    )
    return rendered


def took(seconds: int | None) -> str:
    """Say a number of seconds as people do: `2 h 05 min`, `48 s`; None: `not known`."""
    if seconds is None:
        return "not known"
    minutes, left = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {left:02} s" if minutes else f"{left} s"


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["source"], row["provider"], row["scope"]


def _state(state: Mapping[str, Any] | None) -> str:
    return "nothing was seen" if state is None else json.dumps(state, sort_keys=True, ensure_ascii=False)


def _when(text: str | None) -> str:
    """Say a time of the certificate to the second, by its own zone, UTC."""
    return "not known" if text is None else f"{text[:10]} {text[11:19]} UTC"
