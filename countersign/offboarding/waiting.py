"""Which flow run waits for the approval of which plan, so that it can be woken when the approval is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from countersign.offboarding import folder

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.programme import Programme

FILE = "waiting"
_RUN = re.compile(r"[0-9a-f-]{36}")


def remember(programme: Programme, plan: str, run: str) -> None:
    """Note that a flow run (its UUID) waits for a plan's approval; a later run takes the place of an earlier one."""
    (_of(programme, plan)).write_text(f"{run}\n", encoding="ascii")


def forget(programme: Programme, plan: str) -> None:
    """Note that nobody waits for it any more."""
    _of(programme, plan).unlink(missing_ok=True)


def run_of(programme: Programme, plan: str) -> str | None:
    """Return the flow run that waits for a plan's approval; None: none does."""
    try:
        said = _of(programme, plan).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return said if _RUN.fullmatch(said) else None


def plan_of(programme: Programme, run: str) -> str | None:
    """Return the plan whose approval a flow run waits for; None: it waits for none."""
    places = (programme.folder / folder.FOLDER).glob(f"*/{FILE}")
    return next((place.parent.name for place in sorted(places) if run_of(programme, place.parent.name) == run), None)


def _of(programme: Programme, plan: str) -> Path:
    return programme.folder / folder.FOLDER / plan / FILE
