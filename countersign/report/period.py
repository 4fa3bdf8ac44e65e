"""`index.html` of a bundle: one file that needs nothing else, made of the tables of a period and nothing else."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import duckdb

from countersign import shares
from countersign.expectation import Severity
from countersign.register.matrix import WORDS, compact, spoken
from countersign.report import charts, period_duties, template, words
from countersign.report import period_rows as ask
from countersign.report.period_look import Facts, first_look

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from markupsafe import Markup

    from countersign.period import Period

JUDGED = ("complete", "partial")
"""Nights whose numbers count; those of a night that the run guard stopped were never taken over."""
SHORT = 240
"""Characters of one reason or sentence of others that a table shows."""
_SEVERITIES = tuple(severity.value for severity in Severity)
_RETENTION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_COUNTS = ("open", "excepted", "resolved", "overdue", "no_due", "unobserved", "ever_overdue", "opened")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Nights in a row of one state that one thing explains."""

    first: date
    last: date
    state: str
    why: str | None
    nights: int
    failures: int
    """Failed entries of these days, of nights that were judged after all included."""
    sequences: tuple[int, ...]
    """Of the nights' runs."""
    failed_sequences: tuple[int, ...]


def write_period(
    path: Path, period: Period, *, root: str | None = None, pseudonymised: bool = False, withheld: Sequence[Mapping[str, str]] = ()
) -> None:
    """Write the page to `path`, from the tables in `period.database`; the same tables give the same bytes.

    `root`: of the ledger's tree at its last entry, base64; None: the page leaves it out. `withheld`: what the bundle leaves out, as
    its statement says it (`what`, `why`). Long tables are cut, the worst first, and say where all of it is.
    Raises OSError where it cannot write.
    """
    with duckdb.connect(str(period.database), read_only=True) as db:
        db.execute("SET memory_limit = '1GB'; SET threads = 2; SET TimeZone = 'UTC'")
        said = _said(db, period)
    template("period.html.j2").stream(
        period=period, root=root, pseudonymised=pseudonymised, withheld=tuple(withheld), short=short, utc=utc, span=span,
        days=days, kept=kept, percent=shares.percent, compact=compact, spoken=spoken, letters=WORDS,
        severities=_SEVERITIES, **said,
    ).dump(str(path), encoding="utf-8")  # fmt: skip


def _said(db: duckdb.DuckDBPyConnection, period: Period) -> dict[str, Any]:
    nights = ask.asked(db, ask.NIGHTS)
    sequences = [night["sequence"] if night["state"] in JUDGED else None for night in nights]
    controls = _controls(ask.asked(db, ask.CONTROLS), _by_control(ask.asked(db, ask.FAILED), sequences))
    by_severity = {row["severity"]: row for row in ask.asked(db, ask.FINDINGS)}
    people = ask.asked(db, ask.PEOPLE)
    accountability = ask.asked(db, ask.ACCOUNTABILITY)
    seen = period_duties.matrix(accountability, people, period.partners)
    offboardings, overdue, exceptions = ask.asked(db, ask.OFFBOARDINGS), ask.worst(db, ask.OVERDUE), ask.worst(db, ask.EXCEPTIONS, ask.FEW)
    counted = ask.asked(db, ask.COUNTED)[0]
    stretches = _stretches(nights)
    states = Counter(night["state"] for night in nights)
    trend = standing(ask.asked(db, ask.STANDING), sequences)
    findings = {name: sum(row[name] for row in by_severity.values()) for name in _COUNTS}
    facts = Facts(
        expected=len(nights) - states["before"], stretches=stretches, cut=period.partner is not None,
        offboardings=offboardings, overdue=overdue.rows, controls=controls, refused=ask.asked(db, ask.REFUSED), findings=findings,
        differ=counted["differ"], people=period.people,
    )  # fmt: skip
    return {
        "nights": nights, "months": _months(nights, stretches), "states": states,
        "expected": len(nights) - states["before"], "stretches": stretches,
        "end": next(iter(ask.asked(db, ask.END)), None), "controls": controls,
        "families": [(name, list(group)) for name, group in _families(controls)],
        "verdicts": _sums(controls), "by_severity": by_severity, "findings": findings, "trend": trend,
        "trend_pictures": {
            severity: charts.nightly(
                trend[severity], name=f"trend-{severity}", title=f"Standing findings, {severity}", kind=f"of-{severity}"
            )
            for severity in _SEVERITIES
        },
        "trend_told": {severity: charts.told(trend[severity]) for severity in _SEVERITIES},
        "ticks": charts.ticks([night["day"] for night in nights]), "look": first_look(facts),
        "seen": seen, "alike": period_duties.alike(seen),
        "parts": {column.id: period_duties.parts(seen, column.id) for column in seen.columns},
        "index": _index(people, seen.columns), "changes": period_duties.changes(accountability), "registers": _registers(accountability),
        "workloads": ask.worst(db, ask.WORKLOADS), "partners": ask.asked(db, ask.PARTNERS),
        "offboardings": offboardings, "overdue": overdue, "exceptions": exceptions, "in_force": ask.asked(db, ask.IN_FORCE)[0]["all"],
        "open": ask.worst(db, ask.OPEN), "tickets": ask.worst(db, ask.TICKETS), "ticket_counts": ask.asked(db, ask.TICKET_COUNTS)[0],
        "clocks": ask.asked(db, ask.CLOCKS), "missed": ask.worst(db, ask.MISSED, ask.FEW), "drills": ask.worst(db, ask.DRILLS, ask.FEW),
        "sources": ask.worst(db, ask.SOURCES), "counted": counted, "differ": ask.worst(db, ask.DIFFER, ask.FEW),
        "errors": ask.worst(db, ask.ERRORS, ask.FEW), "sampled": ask.asked(db, ask.SAMPLED), "samples": ask.worst(db, ask.SAMPLES),
        "runs": ask.worst(db, ask.RUNS), "kinds": ask.asked(db, ask.KINDS),
    }  # fmt: skip


def standing(changes: Iterable[Mapping[str, Any]], sequences: Sequence[int | None]) -> dict[str, list[int | None]]:
    """Count the findings that stood at each night by severity. None in `sequences`, and so in the result: no number for that night.

    `changes` have `severity`, `sequence` and `change`; one without a sequence was there before the first night.
    """
    by_severity: dict[str, Counter[int]] = defaultdict(Counter)
    for change in changes:
        by_severity[change["severity"]][-1 if change["sequence"] is None else change["sequence"]] += change["change"]
    counted = {}
    for severity in _SEVERITIES:
        moments = sorted(by_severity[severity].items())
        totals = list(accumulate(count for _, count in moments))
        counted[severity] = [
            None if sequence is None else (totals[at - 1] if (at := sum(moment <= sequence for moment, _ in moments)) else 0)
            for sequence in sequences
        ]
    return counted


def short(text: str | None) -> str | None:
    """Cut a sentence of others to what a table can hold."""
    return None if text is None else words.cut(text, SHORT)


def utc(when: datetime) -> str:
    """Say a time to the minute; the page says once that every time is UTC."""
    return f"{when:%Y-%m-%d %H:%M}"


def days(count: int | None) -> str:
    """Say a number of days: `1 day`, `123 days`."""
    return "not known" if count is None else words.plural(count, "day")


def kept(retention: str | None) -> str:
    """Say an ISO 8601 calendar period such as P7Y in words; one that is not understood as it is written."""
    if retention is None:
        return "for a time that is not on file"
    match = _RETENTION.fullmatch(retention)
    counts = zip(("year", "month", "week", "day"), match.groups(), strict=True) if match else ()
    parts = [words.plural(int(count), unit) for unit, count in counts if count]
    return f"for {', '.join(parts)}" if parts else f"for {retention}"


def span(seconds: int | None) -> str:
    """Say a number of seconds as people do, by its two largest units: `3 days 4 h`, `20 min`."""
    if seconds is None:
        return "not known"
    whole_days, rest = divmod(max(0, seconds), 86_400)
    hours, rest = divmod(rest, 3_600)
    parts = [words.plural(whole_days, "day")] if whole_days else []
    parts += [f"{hours} h"] if hours else []
    parts += [f"{rest // 60} min"] if rest >= 60 else []  # noqa: PLR2004 - seconds in a minute
    return " ".join(parts[:2]) or (f"{rest} s" if rest else "at once")


def _controls(rows: Iterable[dict[str, Any]], failed: Mapping[str, list[int | None]]) -> tuple[dict[str, Any], ...]:
    """Add to each control what `shares` needs to say its shares, its picture over the nights, and that in words."""
    return tuple(
        row | {
            "id": row["control"], "unknown_reasons": [{"unit": "scope"}] if row["unknown_scopes"] and row["unknown"] else [],
            "picture": _picture(number, row, failed.get(row["control"], [])), "told": charts.told_shortly(failed.get(row["control"], [])),
        }
        for number, row in enumerate(rows)
    )  # fmt: skip


def _picture(number: int, control: Mapping[str, Any], values: list[int | None]) -> Markup:
    return charts.nightly(values, name=f"s{number}", title=f"Failing over the nights: {control['control']}", kind="small")


def _by_control(rows: Iterable[Mapping[str, Any]], sequences: Sequence[int | None]) -> dict[str, list[int | None]]:
    """Lay failed counts out over the nights; a night on which the control was not judged has none."""
    found: dict[str, dict[int, int | None]] = defaultdict(dict)
    for row in rows:
        found[row["control"]][row["sequence"]] = row["failed"]
    return {control: [None if sequence is None else counts.get(sequence) for sequence in sequences] for control, counts in found.items()}


def _stretches(nights: Iterable[Mapping[str, Any]]) -> tuple[Stretch, ...]:
    """Put nights in a row together that are not complete, or that were complete only after a failed try, and have the same reason."""
    found = []
    for (state, why, _), group in groupby(nights, key=lambda night: (night["state"], night["why"], bool(night["failures"]))):
        held = list(group)
        failures = sum(night["failures"] or 0 for night in held)
        if state != "complete" or failures:
            numbers = tuple(night["sequence"] for night in held if night["sequence"] is not None)
            failed = tuple(number for night in held for number in night["failed_sequences"] or ())
            found.append(Stretch(held[0]["day"], held[-1]["day"], state, why, len(held), failures, numbers, failed))
    return tuple(found)


def _months(nights: Iterable[Mapping[str, Any]], stretches: Iterable[Stretch]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Group the nights by month; `anchor` is the first day of a night's stretch, None: it has none."""
    anchors = {each.first + timedelta(days=number): each.first for each in stretches for number in range(each.nights)}
    with_anchor = (dict(night) | {"anchor": anchors.get(night["day"])} for night in nights)
    return [(month, list(group)) for month, group in groupby(with_anchor, key=lambda night: f"{night['day']:%Y-%m}")]


def _families(controls: Sequence[Mapping[str, Any]]) -> Iterable[tuple[str, Iterable[Mapping[str, Any]]]]:
    order = (*shares.FAMILIES, shares.OTHER)
    place = {name: number for number, name in enumerate(order)}
    return groupby(sorted(controls, key=lambda c: place.get(c["family"], len(order))), key=lambda c: c["family"] or shares.OTHER)


def _sums(controls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(control[name] for control in controls) for name in ("population", *words.PARTS)}
    return sums | {
        "fail": sum(control["verdict"] == "fail" for control in controls),
        "nobody": sum(control["accountable"] is None for control in controls),
        "unknown_reasons": [why for control in controls for why in control["unknown_reasons"]][:1],
    }


def _registers(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return a row for each register that was in force, the first first."""
    return [next(group) for _, group in groupby(rows, key=lambda row: (row["from_sequence"], row["register_digest"]))]


def _index(people: Iterable[Mapping[str, Any]], columns: Iterable[Any]) -> list[dict[str, Any]]:
    """List everybody: the people of the register, and whoever else it names for something (teams, partners), of whom no more is known."""
    listed = [dict(person) | {"kind": None} for person in people]
    known = {person["person"] for person in listed}
    blank = {"party": None, "active": True, "controls": None, "workloads": None, "open_findings": None, "overdue": None}
    return listed + [blank | {"person": c.id, "name": c.name, "kind": c.kind} for c in columns if c.id not in known]
