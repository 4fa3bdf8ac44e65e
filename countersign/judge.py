"""Verdicts: every expectation over every subject, counted by Great Expectations, with the failing keys from the same predicate."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Literal, NamedTuple

import duckdb

from countersign.errors import NotJudgedError
from countersign.expectation import Expectation, Severity
from countersign.facts import SUBJECTS, RegisterTable, create, opened
from countersign.identity import CREDENTIAL_KINDS, IDENTITIES_TOO
from countersign.inventory import sql_text
from countersign.validation import Check, Counts, Validated, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from countersign.inventory import Reading

PLACES = 20
"""Scopes that one reason for unknown verdicts names."""
Verdict = Literal["pass", "fail", "unknown", "not assessed"]
_GX_SEVERITY = {Severity.CRITICAL: "critical", Severity.HIGH: "critical", Severity.MEDIUM: "warning", Severity.LOW: "info"}
# A column of the facts, where a record's field of another name stands behind it.
_FIELD_OF = {
    "created_on": "created_at",
    "age_days": "created_at",
    "expires_on": "expires_at",
    "expired_days": "expires_at",
    "idle_days": "last_used_at",
    "lifetime": "expires_at",
    "person_on": "last_active_at",
    "unattended_days": "last_active_at",
    "program_kind": "last_active_at",
}
_RAW_FIELDS = frozenset(
    {
        "created_at",
        "last_used_at",
        "last_used_state",
        "expires_at",
        "track",
        "console",
        "mfa",
        "enabled",
        "owner_claim",
        "outside_parties",
        "unconditioned_parties",
        "unknown_party_names",
        "created_by",
        "copy_roles",
        "admin_grants",
        "admin_roles",
        "admin_power",
    }
)
_PROVENANCE_FIELD = {
    "outside_parties": "trusts",
    "unconditioned_parties": "trusts",
    "unknown_party_names": "trusts",
    "copy_roles": "grants",
    "admin_grants": "grants",
    "admin_roles": "grants",
    "admin_power": "grants",
}
_REGISTER_FACTS = frozenset(
    {
        "partner",
        "vendor_names",
        "workload",
        "owner",
        "backup_owner",
        "workload_expires_on",
        "contract_ends_on",
        "incident",
        "incident_declared_at",
        "incident_reason",
        "review",
        "review_limit_days",
        "entry",
        "register_names_said",
        "register_owners_said",
        "register_raci_said",
        "register_answers_said",
        "register_slas_said",
        "register_contract_said",
        "register_workload_said",
        "register_policy_said",
        "register_footprint_said",
        "exception_invalid_said",
        "agreed_detect",
        "agreed_escalate",
        "agreed_rotate",
        "agreed_revoke",
        "agreed_drill",
    }
)


@dataclass(frozen=True, slots=True)
class UnknownReason:
    """Why some of a population could not be judged."""

    reason: str
    count: int
    unit: Literal["subject", "scope"]
    """`scope`: a whole scope was not read, so the number of its subjects is itself unknown; it counts as one."""
    places: tuple[tuple[str, str, int], ...] = ()
    """(provider, scope, count), the most first; at most PLACES of them."""


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The verdict of one control in one run; population = passed + failed + excepted + unknown."""

    id: str
    title: str
    severity: str
    population: int
    passed: int
    failed: int
    excepted: int
    unknown: int
    unknown_reasons: tuple[UnknownReason, ...]

    @property
    def verdict(self) -> Verdict:
        """Fail when anything fails; unknown when nothing fails and something is unknown; an empty population is not assessed."""
        if self.failed:
            return "fail"
        if self.unknown:
            return "unknown"
        return "pass" if self.population else "not assessed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts of a run; the failing subjects themselves are in the `failures` view of its database."""

    results: tuple[ControlResult, ...]
    validated: Validated

    @property
    def unclear(self) -> frozenset[str]:
        """The controls that a subject which was read came to no verdict under."""
        return frozenset(result.id for result in self.results if any(reason.unit == "subject" for reason in result.unknown_reasons))


def judge(database: Path, expectations: Sequence[Expectation], readings: Iterable[Reading]) -> Judgement:
    """Judge the `facts` table of `database` and leave its failing subjects in a `failures` view there.

    Raises NotJudgedError when Great Expectations and the engine do not count the same, or a check raised: then there are
    no verdicts at all, because one of the two is wrong and nothing says which.
    """
    with opened(database) as db:
        columns = {name: kind for name, kind, *_ in db.execute("DESCRIBE facts").fetchall()}
        _check_columns(expectations, columns)
        total = _count(db, "SELECT count(*) FROM facts")
        _split_by_kind(db)
        db.execute(f"CREATE OR REPLACE VIEW examined AS SELECT {', '.join(_masked(e) for e in expectations)} FROM facts")
        tallies = _tallies(db, expectations)
        _keep_failures(db, [e for e in expectations if tallies[e.id].broken] or expectations[:1], columns)
        counted = _counts(db, expectations, tallies)
    validated = validate(database, "examined", "countersign", [_as_check(e) for e in expectations])
    for expectation in expectations:
        ours = counted[expectation.id]
        _agree(expectation.id, total, ours, validated.counts[expectation.id])
    unread = _unread(expectations, tuple(readings))
    results = tuple(_result(e, counted[e.id], unread[e.id]) for e in expectations)
    return Judgement(results, validated)


@dataclass(frozen=True, slots=True)
class _Counted:
    known: int
    failing: int
    excepted: int
    reasons: tuple[UnknownReason, ...]


def _split_by_kind(db: duckdb.DuckDBPyConnection) -> None:
    """Give every kind of subject a view with the columns of all, so that a control's pass reads the kinds that it judges and no others."""
    for kind in SUBJECTS:
        # Nothing of the second half is read: it only has the columns that this kind lacks.
        together = f"SELECT * FROM facts_{kind} UNION ALL BY NAME (SELECT * FROM facts WHERE FALSE)"
        db.execute(f"CREATE OR REPLACE VIEW judged_{kind} AS {together}")


def _of(e: Expectation) -> str:
    return "(" + " UNION ALL BY NAME ".join(f"SELECT * FROM judged_{kind}" for kind in e.subjects) + ")"


def _masked(e: Expectation) -> str:
    return f'CASE WHEN subject_kind IN ({_subjects(e)}) AND "{e.population}" THEN "{e.holds.column}" END AS "{_column(e)}"'


def _column(e: Expectation) -> str:
    return e.id.replace("-", "_")


def _subjects(e: Expectation) -> str:
    return ", ".join(f"'{kind}'" for kind in e.subjects)


def _as_check(e: Expectation) -> Check:
    meta = {
        "control": e.id,
        "title": e.title,
        "severity": e.severity.value,
        "population": e.population,
        "fact": e.holds.column,
        "subjects": list(e.subjects),
        "maps_to": list(e.maps_to),
    }
    return Check(e.id, _column(e), e.holds, _GX_SEVERITY[e.severity], f"{e.title}. {e.why}", meta)


def _keep_failures(db: duckdb.DuckDBPyConnection, expectations: Sequence[Expectation], columns: Mapping[str, str]) -> None:
    for index, e in enumerate(expectations):
        facts = ", ".join(f"'{name}': {_shown(name, columns)}" for name in e.shows)
        # What moves by itself every night, ages and the last use of what is in use, is no news.
        stable = [name for name in e.shows if name != "last_used_at" and (not name.endswith("_days") or name.endswith("_limit_days"))]
        digest = "concat_ws('|', " + ", ".join(f"coalesce({_shown(name, columns)}::VARCHAR, '-')" for name in stable) + ")"
        reason = ", ".join(_told(text) if is_fact else sql_text(text) for text, is_fact in e.reason_parts())
        query = f"""
            SELECT sha256('{e.id}' || chr(0) || f.subject) AS fingerprint, '{e.id}' AS control, f.subject, f.subject_kind, f.kind,
                   f.identity, f.identity_name, f.provider, f.scope, f.partner, coalesce(f.accountable, c.accountable) AS accountable,
                   '{e.severity.value}' AS severity, concat({reason}) AS reason, to_json({{{facts}}}) AS facts,
                   sha256({digest}) AS facts_digest,
                   x.exception AS excepted, x.expires_at AS excepted_until
            FROM {_of(e)} f
            LEFT JOIN register_controls c ON c.control = '{e.id}'
            LEFT JOIN register_exceptions x ON x.control = '{e.id}' AND x.subject = f.subject
            WHERE f."{e.population}" AND ({e.holds.breaks()})"""
        db.execute(f"CREATE OR REPLACE TABLE failing AS {query}" if index == 0 else f"INSERT INTO failing {query}")
    _keep_sources(db, expectations)
    db.execute("""
        CREATE OR REPLACE VIEW failures AS
        SELECT f.*, coalesce(s.sources, '[]') AS sources FROM failing f LEFT JOIN sources s USING (control, provider, scope, kind)""")


def _keep_sources(db: duckdb.DuckDBPyConnection, expectations: Sequence[Expectation]) -> None:
    """Say once per control, scope and kind which call told each shown fact; the register's facts name the register."""
    rows: list[tuple[str, str, str | None]] = [
        (e.id, name, _PROVENANCE_FIELD.get(name, _FIELD_OF.get(name, name)))
        for e in expectations
        for name in e.shows
        if name in _RAW_FIELDS or name in _FIELD_OF
    ]
    rows += [(e.id, name, None) for e in expectations for name in e.shows if name in _REGISTER_FACTS]
    create(db, RegisterTable("shown", "control VARCHAR, fact VARCHAR, field VARCHAR", tuple(rows)))
    db.execute(resources.files("countersign").joinpath("sources.sql").read_text(encoding="utf-8"))


class _Tally(NamedTuple):
    known: int
    unknown: int
    broken: int


def _tallies(db: duckdb.DuckDBPyConnection, expectations: Sequence[Expectation]) -> dict[str, _Tally]:
    """Count every control in one pass a kind of subject, so that most need no pass of their own."""
    tallies: dict[str, _Tally] = {}
    for kinds in sorted({e.subjects for e in expectations}):
        alike = [e for e in expectations if e.subjects == kinds]
        counts = [
            f"count(*) FILTER ({condition})"
            for e in alike
            for condition in (_known(e), _not_known(e), f'"{e.population}" AND ({e.holds.breaks()})')
        ]
        try:
            row = db.execute(f"SELECT {', '.join(counts)} FROM {_of(alike[0])}").fetchone() or ()
        except duckdb.BinderException as error:
            raise _untestable(db, alike, error) from error
        tallies |= {e.id: _Tally(*row[3 * index : 3 * index + 3]) for index, e in enumerate(alike)}
    return tallies


def _untestable(db: duckdb.DuckDBPyConnection, alike: Iterable[Expectation], error: duckdb.Error) -> NotJudgedError:
    """Find out which of the records it is that the engine cannot test."""
    for e in alike:
        try:
            db.execute(f"SELECT count(*) FILTER ({e.holds.breaks()}) FROM {_of(e)} WHERE FALSE")
        except duckdb.Error as its:
            fix = "compare the record with the columns of countersign/facts"
            return NotJudgedError(f"expectations/{_column(e)}.py cannot be tested: {its}", fix=fix)
    return NotJudgedError(f"the controls of {', '.join(e.id for e in alike)} cannot be tested together: {error}")


def _counts(db: duckdb.DuckDBPyConnection, expectations: Sequence[Expectation], tallies: Mapping[str, _Tally]) -> dict[str, _Counted]:
    found = db.execute("SELECT control, count(*), count(excepted) FROM failing GROUP BY control").fetchall()
    failing = {control: (failed, excepted) for control, failed, excepted in found}
    return {
        e.id: _Counted(tallies[e.id].known, *failing.get(e.id, (0, 0)), _reasons(db, e) if tallies[e.id].unknown else ())
        for e in expectations
    }


def _known(e: Expectation) -> str:
    return f'"{e.population}" AND "{e.holds.column}" IS NOT NULL'


def _not_known(e: Expectation) -> str:
    return f'"{e.population}" IS DISTINCT FROM FALSE AND ({_known(e)}) IS NOT TRUE'


def _reasons(db: duckdb.DuckDBPyConnection, e: Expectation) -> tuple[UnknownReason, ...]:
    why = f"coalesce({', '.join([*e.unknown_from, sql_text('not known')])})"
    rows = db.execute(f"""
        SELECT why, sum(n)::BIGINT AS count, list((provider, scope, n) ORDER BY n DESC, provider, scope)[:{PLACES}] FROM (
            SELECT {why} AS why, provider, scope, count(*) AS n
            FROM {_of(e)} WHERE {_not_known(e)} GROUP BY ALL
        ) GROUP BY why ORDER BY count DESC, why""").fetchall()
    return tuple(UnknownReason(reason, count, "subject", tuple(places)) for reason, count, places in rows)


def _agree(control: str, total: int, ours: _Counted, theirs: Counts) -> None:
    mine = (total, total - ours.known, ours.failing)
    if mine != (theirs.rows, theirs.nulls, theirs.unexpected):
        raise NotJudgedError(
            f"{control}: Great Expectations counted {theirs.unexpected} failing and {theirs.nulls} not judged of {theirs.rows}, "
            f"the engine {ours.failing} and {total - ours.known} of {total}; nothing is judged in this run",
            fix="report this with the run's evidence; the expectation's predicate in Holds.breaks and Great Expectations differ",
        )


def _unread(expectations: Sequence[Expectation], readings: tuple[Reading, ...]) -> dict[str, list[UnknownReason]]:
    """Count every unread part of a scope as one unknown member of each population that it may hide members of."""
    found: dict[str, list[UnknownReason]] = {e.id: [] for e in expectations}
    for reading in readings:
        place = f"{reading.scope.provider} {reading.scope.name}"
        for row in reading.coverage:
            if row.state == "complete":
                continue
            why = f"{place} was not read wholly: {row.operation}: {row.error or row.state}"
            reason = UnknownReason(why, 1, "scope", ((reading.scope.provider, reading.scope.name, 1),))
            hides = {"credential" for kind in row.covers if kind in CREDENTIAL_KINDS}
            hides |= {"identity" for kind in row.covers if kind not in CREDENTIAL_KINDS or kind in IDENTITIES_TOO}
            if reading.state in ("denied", "failed"):
                hides = {"identity", "credential"}
            for e in expectations:
                if hides.intersection(e.subjects):
                    found[e.id].append(reason)
    return found


def _result(e: Expectation, counted: _Counted, unread: Sequence[UnknownReason]) -> ControlResult:
    reasons = (*counted.reasons, *unread)
    unknown = sum(reason.count for reason in reasons)
    return ControlResult(
        e.id,
        e.title,
        e.severity.value,
        counted.known + unknown,
        counted.known - counted.failing,
        counted.failing - counted.excepted,
        counted.excepted,
        unknown,
        reasons,
    )


def _check_columns(expectations: Sequence[Expectation], columns: Mapping[str, str]) -> None:
    for e in expectations:
        wanted = {e.population, e.holds.column, *e.shows, *e.unknown_from, *(text for text, is_fact in e.reason_parts() if is_fact)}
        missing = sorted(wanted - set(columns))
        if missing:
            raise NotJudgedError(
                f"expectations/{_column(e)}.py names facts that countersign/facts does not make: {', '.join(missing)}",
                fix="add the column to the SQL file of its subjects in countersign/facts, or correct its name in the record",
            )


def _shown(name: str, columns: Mapping[str, str]) -> str:
    return f"strftime({_quoted(name)}, '%Y-%m-%dT%H:%M:%SZ')" if columns[name] == "TIMESTAMP" else _quoted(name)


def _told(name: str) -> str:
    return f"coalesce({_quoted(name)}::VARCHAR, '(none)')"


def _quoted(name: str) -> str:
    return f'f."{name}"'


def _count(db: duckdb.DuckDBPyConnection, query: str) -> int:
    row = db.execute(query).fetchone()
    if row is None:
        raise NotJudgedError(f"a count came back empty: {query}")
    return int(row[0])
