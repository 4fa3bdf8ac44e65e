"""A summary of a period as PDF, two to four pages, for those who print: made of the same tables as the bundle, and no part of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import duckdb

from countersign.clock import stamp
from countersign.errors import CountersignError
from countersign.expectation import Severity
from countersign.report import period_rows as ask
from countersign.report import template, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from countersign.period import Period

_CONTROLS, _ROWS, _NAME, _WHY = 60, 10, 60, 110
"""Rows of the controls and of every other table, characters of a name and of a sentence: what fits on four pages."""
_PANGO = "apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core, or what your system calls Pango"


class NoPdfError(CountersignError):
    """What writes PDF is not installed."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Nights in a row that are not complete, in one state that one thing explains."""

    first: Any
    last: Any
    state: str
    why: str | None
    nights: int


def write_summary_pdf(path: Path, period: Period) -> None:
    """Write the PDF to `path`; the same tables, fonts and libraries give the same bytes.

    Nothing is fetched. Long tables are cut, the worst first, and say so. Raises NoPdfError where WeasyPrint or Pango is missing,
    OSError where it cannot write.
    """
    try:
        # Inside, since it is the extra `pdf` and takes a second to load.
        import weasyprint  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise NoPdfError("the PDF needs WeasyPrint, which is not installed", fix="pip install 'countersign[pdf]'") from error
    except OSError as error:
        raise NoPdfError("the PDF needs the library Pango, which is not installed", fix=_PANGO) from error
    nothing = weasyprint.urls.URLFetcher(allowed_protocols=())
    # No date of making and no random identifier are in it unless they are asked for.
    made = weasyprint.HTML(string=_page(period), url_fetcher=nothing).write_pdf()
    path.write_bytes(made)


def _page(period: Period) -> str:
    with duckdb.connect(str(period.database), read_only=True) as db:
        db.execute("SET memory_limit = '500MB'; SET threads = 2; SET TimeZone = 'UTC'")
        nights, severities = ask.asked(db, ask.NIGHTS), ask.asked(db, ask.FINDINGS)
        states = Counter(night["state"] for night in nights)
        gaps = tuple(_gaps(nights))
        controls = ask.asked(db, ask.CONTROLS)
        return str(
            template("summary_pdf.html.j2").render(
                period=period, as_of=stamp(period.as_of), states=states, expected=len(nights) - states["before"],
                gaps=gaps[:_ROWS], more_gaps=max(0, len(gaps) - _ROWS), severities=[severity.value for severity in Severity],
                by_severity={row["severity"]: row for row in severities},
                total={name: sum(row[name] for row in severities) for name in ("open", "overdue", "excepted", "no_due", "unobserved")},
                verdicts=Counter(control["verdict"] for control in controls),
                nobody=sum(control["accountable"] is None for control in controls),
                controls=controls[:_CONTROLS], more_controls=max(0, len(controls) - _CONTROLS),
                overdue=ask.worst(db, ask.OVERDUE, _ROWS), exceptions=ask.worst(db, ask.EXCEPTIONS, _ROWS),
                partners=ask.asked(db, ask.PARTNERS)[:_ROWS], more_partners=max(0, period.count("partners") - _ROWS),
                offboardings=ask.asked(db, ask.OFFBOARDINGS)[:_ROWS], clocks=ask.asked(db, ask.CLOCKS), notes=period.notes[:_ROWS],
                name=lambda text: _cut(text, _NAME), why=lambda text: _cut(text, _WHY),
                person=lambda id_: None if id_ is None else _cut(period.people.get(id_, id_), _NAME),
                partner=lambda id_: None if id_ is None else _cut(period.partners.get(id_, id_), _NAME),
            )
        )  # fmt: skip


def _gaps(nights: Iterable[Mapping[str, Any]]) -> Iterable[Gap]:
    for (state, why), group in groupby(nights, key=lambda night: (night["state"], night["why"])):
        days = [night["day"] for night in group]
        if state not in ("complete", "before"):
            yield Gap(days[0], days[-1], state, why, len(days))


def _cut(text: str | None, longest: int) -> str | None:
    return None if text is None else words.cut(text, longest)
