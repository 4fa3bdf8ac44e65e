"""The difference between two sealed runs: what is new, changed, gone or was not looked at, each fact with who said it.

Only from the evidence, so that it can be told where the state database is gone: `sealed` finds the runs and holds every file that is read
against the signed statement, `looked` says what each run really looked at, and the three `*_changes` files compare table by table.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import orjson

from countersign.clock import instant
from countersign.errors import CountersignError
from countersign.facts import attribute, opened
from countersign.inventory import sql_text
from countersign.run_difference import entry_changes, finding_changes, inventory_changes
from countersign.run_difference.looked import Looked
from countersign.run_difference.sealed import NoSuchRunError, Sealed, Told, pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "KINDS",
    "Change",
    "Difference",
    "FactChange",
    "NoSuchPartnerError",
    "NoSuchRunError",
    "Sealed",
    "Told",
    "Unseen",
    "compared",
    "pair",
    "said",
]

What = Literal["new", "reopened", "changed", "excepted", "exception-ended", "gone", "resolved", "unobserved"]
KINDS = ("findings", *inventory_changes.KINDS, "register")
BATCH = 5_000
_REGISTER = frozenset({"partner", "accountable", "workload", "owner", "backup_owner", "excepted", "excepted_until", "due", "severity"})
"""Facts of a finding that no provider said."""
_OF_IDENTITIES = frozenset({"grants", "trusts"})
"""Tables that a call tells as one field of an identity."""


class NoSuchPartnerError(CountersignError):
    """An empty difference would look like good news."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class FactChange:
    """One fact, before and after."""

    fact: str
    before: Any
    after: Any
    why_before: str | None
    """Why the earlier run did not know it; None: it did."""
    why_after: str | None
    """Why the later run does not know it; None: it does."""
    told: Told | None
    """The call that said it as it is now; None: it is not on file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not in the later run as it was in the earlier one."""

    kind: str
    """One of KINDS."""
    what: What
    subject: str
    """The subject's uid; of a grant or trust that of its identity; of the register `workload/<id>` and the like."""
    subject_kind: str | None
    name: str | None
    provider: str
    scope: str | None
    control: str | None
    """Of a finding; None for all else, as `severity`."""
    severity: str | None
    reason: str | None
    """Of a finding its reason; where it was not looked at, the operation that is missing, with the provider's words."""
    not_looked: Literal["before", "after"] | None
    """Which run did not look, where `what` is `unobserved`."""
    facts: tuple[FactChange, ...]
    behind: tuple[str, ...]
    """For a finding that came or went: what changed in the inventory of its subject or identity, in words; empty: nothing did."""
    told: Told | None
    """The listing that has it now, or that was answered whole without it; None: it is not on file."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What one of the runs did not look at in one place, for one reason."""

    run: Sealed
    """The run that did not look."""
    provider: str
    scope: str | None
    why: str | None
    """The operation that is missing, with the provider's words."""
    count: int
    kinds: tuple[tuple[str | None, int], ...]
    """(kind of subject, count), the most first."""


class Difference:
    """Two runs and what differs, in a scratch file of DuckDB; rows come in order, however many there are."""

    def __init__(
        self, db: duckdb.DuckDBPyConnection, runs: tuple[Sealed, Sealed], looked: tuple[Looked, Looked], kinds: Sequence[str]
    ) -> None:
        """Take what `compared` made."""
        self.before, self.after = runs
        self._db, self._looked = db, looked
        self.counts: Mapping[str, Mapping[str, int]] = {kind: {} for kind in kinds}
        """Kind to how many are new, changed and so on; nothing is said of what there is none of."""
        for kind, what, count in db.execute("SELECT kind, what, count(*) FROM changes GROUP BY ALL").fetchall():
            self.counts[kind][what] = count  # type: ignore[index]  # its own, just made

    @property
    def differs(self) -> bool:
        """Whether anything is not as it was, as far as both runs looked."""
        return any(what != "unobserved" for counts in self.counts.values() for what in counts)

    @property
    def unobserved(self) -> int:
        """How many things one of the runs did not look at."""
        return sum(counts.get("unobserved", 0) for counts in self.counts.values())

    def rows(self, kind: str | None = None, what: str | None = None, most: int | None = None) -> Iterator[Change]:
        """Yield the changes, all or those of a kind and outcome, at most `most`: findings by severity, the rest by place."""
        cursor = self._db.cursor()
        cursor.execute(
            """SELECT * EXCLUDE (holder, partners) FROM changes WHERE kind = coalesce($kind, kind) AND what = coalesce($what, what)
               ORDER BY list_position($kinds, kind), list_position(['critical', 'high', 'medium', 'low'], severity), what,
                        provider, scope, subject, name, control
               LIMIT $most""",
            {"kind": kind, "what": what, "most": most, "kinds": list(KINDS)},
        )
        while rows := cursor.fetchmany(BATCH):
            yield from map(self._change, rows)

    def facts_of(self, kind: str) -> tuple[tuple[str, int], ...]:
        """Count how many of what changed have each fact among what differs, the most frequent first."""
        return tuple(
            self._db.execute(
                """SELECT fact.fact, count(*) FROM (SELECT unnest(facts) AS fact FROM changes WHERE kind = ? AND what = 'changed')
                   GROUP BY ALL ORDER BY count(*) DESC, fact.fact""",
                [kind],
            ).fetchall()
        )

    def unseen(self, kind: str) -> tuple[Unseen, ...]:
        """Group what was not looked at by place and reason, the most first."""
        rows = self._db.execute(
            """SELECT side, provider, scope, reason, sum(n)::BIGINT AS count, list((subject_kind, n) ORDER BY n DESC, subject_kind) FROM (
                   SELECT side, provider, scope, reason, subject_kind, count(*) AS n FROM changes
                   WHERE kind = ? AND what = 'unobserved' GROUP BY ALL
               ) GROUP BY ALL ORDER BY count DESC, side, provider, scope, reason""",
            [kind],
        )
        return tuple(
            Unseen(self.before if side == "before" else self.after, provider, scope, reason, count, tuple(kinds))
            for side, provider, scope, reason, count, kinds in rows.fetchall()
        )

    def _change(self, row: tuple[Any, ...]) -> Change:
        kind, what, subject, subject_kind, name, provider, scope, control, severity, reason, side, facts, extra = row
        more = orjson.loads(extra) if extra else {"sources": [], "behind": []}
        sources = {each["fact"]: Told(each["call"], instant(each["at"])) for each in _list(more["sources"])}
        found = []
        for each in facts:
            told = sources.get(each["fact"])
            if kind == "register" or (kind == "findings" and each["fact"] in _REGISTER):
                told = self._register()
            elif kind != "findings":
                knew = self._looked[0] if each["why_after"] is not None else self._looked[1]
                told = knew.told(provider, scope, subject_kind, kind if kind in _OF_IDENTITIES else each["fact"])
            before, after = (None if each[name] is None else orjson.loads(each[name]) for name in ("before", "after"))
            found.append(FactChange(each["fact"], before, after, each["why_before"], each["why_after"], told))
        return Change(
            kind=kind, what=what, subject=subject, subject_kind=subject_kind, name=name, provider=provider, scope=scope, control=control,
            severity=severity, reason=reason, not_looked=side, facts=tuple(found),
            behind=tuple(_behind(each) for each in more["behind"] or ()),
            told=self._of_row(kind, what, provider, scope, subject_kind),
        )  # fmt: skip

    def _register(self) -> Told:
        return Told("register", instant(self.after.predicate["asOf"]))

    def _of_row(self, kind: str, what: str, provider: str, scope: str, subject_kind: str | None) -> Told | None:
        if kind == "register":
            return self._register()
        if kind == "findings" or what in ("changed", "unobserved"):
            return None
        looked = self._looked[1]
        if kind in _OF_IDENTITIES:
            return looked.told(provider, scope, subject_kind, kind)
        return looked.listed(provider, scope, subject_kind)


@contextmanager
def compared(
    before: Sealed, after: Sealed, *, kinds: Sequence[str] = KINDS, partner: str | None = None, all_facts: bool = False
) -> Iterator[Difference]:
    """Compare two runs. `kinds` are those of KINDS that are asked for; `partner` leaves only what is attributed to that partner.

    Whose an identity was is worked out again from each run's inventory and register, by today's rules. `all_facts` shows also what moves
    by itself: ages, times of observation, the next use of what is in use. Raises EvidenceError where a file is not the one that was signed.
    """
    # What came and went among the findings is told with what changed behind it.
    needed = inventory_changes.KINDS if "findings" in kinds else tuple(kind for kind in kinds if kind in inventory_changes.KINDS)
    with TemporaryDirectory(prefix="countersign-") as scratch, duckdb.connect(f"{scratch}/difference.duckdb") as db:
        db.execute(
            f"SET memory_limit = '600MB'; SET threads = 2; SET preserve_insertion_order = false; SET temp_directory = {sql_text(scratch)}"
        )
        db.execute("SET TimeZone = 'UTC'")
        db.execute(inventory_changes.CHANGES)
        looked = (Looked(before), Looked(after))
        inventory_changes.compare(db, before, after, looked, needed, all_facts=all_facts)
        if "findings" in kinds:
            finding_changes.compare(db, before, after, looked[1], all_facts=all_facts)
        if "register" in kinds:
            entry_changes.compare(db, before, after)
        db.execute("DELETE FROM changes WHERE NOT list_contains(?, kind)", [list(kinds)])
        if partner is not None:
            _only(db, before, after, partner, Path(scratch))
        yield Difference(db, (before, after), looked, kinds)


def _only(db: duckdb.DuckDBPyConnection, before: Sealed, after: Sealed, partner: str, scratch: Path) -> None:
    """Leave in `changes` what was or is the partner's. Raises NoSuchPartnerError where neither register has it."""
    files = [sql_text(run.table("register_partners")) for run in (before, after)]
    known = db.execute(f"SELECT DISTINCT partner FROM read_parquet([{', '.join(files)}]) ORDER BY partner").fetchall()
    if (partner,) not in known:
        fix = f"use one of: {', '.join(name for (name,) in known)}" if known else None
        raise NoSuchPartnerError(f"the register of neither run has a partner {partner!r}", fix=fix)
    db.execute("CREATE OR REPLACE TEMP TABLE theirs (uid VARCHAR)")
    for run in (before, after):
        file = sql_text(scratch / f"{run.name}.parquet")
        with opened(scratch / f"{run.name}.duckdb") as own:
            for name in run.tables():
                own.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet({sql_text(run.table(name))})")
            _load_scopes(own, run)
            attribute(own)
            own.execute(f"COPY (SELECT uid FROM attribution WHERE partner = {sql_text(partner)}) TO {file} (FORMAT parquet)")
        db.execute(f"INSERT INTO theirs SELECT uid FROM read_parquet({file})")
    db.execute(
        """DELETE FROM changes WHERE NOT coalesce(CASE WHEN kind IN ('findings', 'register') THEN list_contains(partners, ?)
           ELSE holder IN (SELECT uid FROM theirs) END, FALSE)""",
        [partner],
    )


def _load_scopes(db: duckdb.DuckDBPyConnection, run: Sealed) -> None:
    """Make the tables of what was to be read, which a run keeps in its statement and not in its inventory."""
    db.execute("CREATE TABLE scopes (source VARCHAR, provider VARCHAR, scope VARCHAR, state VARCHAR, reason VARCHAR, passed_over BOOLEAN)")
    rows = []
    for each in run.predicate["sources"]:
        why = "; ".join(f"{row['operation']}: {row['error'] or row['state']}" for row in each["operations"] if row["state"] != "complete")
        rows.append((each["source"], each["provider"], each["scope"], each["state"], why or None, each["passedOver"]))
    if rows:
        db.executemany("INSERT INTO scopes VALUES (?, ?, ?, ?, ?, ?)", rows)


def _list(value: object) -> list[Any]:
    found = orjson.loads(value) if isinstance(value, str) else value
    return found if isinstance(found, list) else []


def _behind(change: Mapping[str, Any]) -> str:
    kind = {"identities": "identity", "credentials": "credential", "grants": "grant", "trusts": "trust"}[change["kind"]]
    if change["what"] != "changed":
        return f"{kind} {change['name']} is {change['what']}"
    return f"{kind} {change['name']}: {'; '.join(said(each['fact'], each['before'], each['after']) for each in change['facts'])}"


def said(fact: str, before: object, after: object) -> str:
    """Say a fact that changed in words: `enabled: yes -> no`."""
    return f"{fact}: {_word(before)} -> {_word(after)}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_word(each) for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}={_word(each)}" for key, each in value.items()) or "none"
    return "none" if value is None else str(value)
