"""Make the tables of a period from the sealed runs of an evidence folder, and from nothing else."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from countersign import shares
from countersign.inventory import TABLES as INVENTORY
from countersign.inventory import sql_text
from countersign.period import accountability, excepted, ledger, members, offboardings, populations
from countersign.period import lens as one_partner
from countersign.period.database import fill, opened, run, view
from countersign.period.members import FINDINGS, NoSuchPartnerError
from countersign.period.nights import nights
from countersign.period.period import Period
from countersign.results import silent
from countersign.verdicts import ABOUT, NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    import duckdb

    from countersign.period.accountability import InForce
    from countersign.period.ledger import Row
    from countersign.period.lens import Lens
    from countersign.period.members import Members
    from countersign.results import Tell

_FOUND = dict.fromkeys(
    (
        "fingerprint", "control", "subject", "subject_kind", "identity", "identity_name", "provider", "scope", "partner", "accountable",
        "severity", "reason", "state", "excepted", "ticket_key",
    ),
    "VARCHAR",
) | {"first_seen": "TIMESTAMP", "since": "TIMESTAMP", "due": "TIMESTAMP", "reopened": "BIGINT", "excepted_until": "TIMESTAMP"} | {
    "unobserved_since": "TIMESTAMP", "looked_before": "TIMESTAMP",
}  # fmt: skip
_SLAS = {"control": "VARCHAR", "clock": "VARCHAR"} | dict.fromkeys(("detect_us", "escalate_us", "rotate_us", "revoke_us"), "BIGINT")
_LOOKED = {"provider": "VARCHAR", "scope": "VARCHAR", "looked_at": "TIMESTAMP", "looked_before": "TIMESTAMP"}
_IDENTITIES = {name: INVENTORY["identities"][name] for name in ("uid", "name", "native_id", "provider", "scope", "enabled")}


def build(  # noqa: PLR0913 - whose evidence, which days, what is drawn of it and for whom
    store: Path,
    first: date,
    last: date,
    *,
    sample_size: int = 25,
    seed: str,
    partner: str | None = None,
    keys: Sequence[Path] = (),
    database: Path,
    tell: Tell = silent,
) -> Period:
    """Fill the DuckDB file `database` (replaced) with the tables of the days `first` to `last` (UTC, both included).

    `store` is a local evidence folder. `partner`: only what is this partner's. `keys`: public keys, one of which must have signed each
    statement of the period; none: signatures are not checked, and a note says so. Raises NoSuchPeriodError where nothing was sealed
    for these days, NoSuchPartnerError, and EvidenceError where the evidence does not hold.
    """
    tell("reading the ledger", 0.0)
    found = members.read(store, first, last, keys)
    notes = [] if keys else ["no public key was given, so nobody's signature was checked"]
    with opened(database) as db:
        return _Building(db, found, first, last, partner, notes, tell).build(sample_size, seed, database)


class _Building:
    """One period in the making."""

    def __init__(  # noqa: PLR0913, PLR0917 - what all steps need
        self, db: duckdb.DuckDBPyConnection, found: Members, first: date, last: date, partner: str | None, notes: list[str], tell: Tell
    ) -> None:
        self.db, self.found, self.first, self.last, self.partner, self.notes, self.tell = db, found, first, last, partner, notes, tell
        self.judged = found.judged
        self.sound = tuple(member for member in self.judged if member.guard is None)
        self.end = ledger.ended(found.entries, datetime.combine(last, time()))
        self.controls = frozenset(row["control"] for member in self.judged for row in member.predicate["results"])
        self.is_night = {member.day: member.sequence for member in self.judged}
        self.lens: Lens | None = None
        self._seen_partners: set[str] = set()

    def build(self, sample_size: int, seed: str, database: Path) -> Period:
        self._views()
        held = accountability.registers(self.judged, self.notes)
        partners = accountability.partners(held)
        if self.partner is not None:
            self._seen_partners = self._partners_seen()
            if self.partner not in self._seen_partners | partners.keys():
                known = ", ".join(sorted(self._seen_partners | partners.keys())) or "none"
                raise NoSuchPartnerError(f"the evidence of these days knows no partner {self.partner!r}", fix=f"use one of: {known}")
            self.lens = one_partner.look(self.db, self.partner)
        self._ledger()
        self.tell("counting who was judged", 0.2)
        populations.populations(self.db, self.controls)
        populations.samples(self.db, sample_size, seed)
        self.tell("following findings", 0.5)
        run(self.db, "spells.sql")
        self._results()
        self.tell("setting out who answers", 0.8)
        names = {partner: entry.name for partner, entry in partners.items()}
        self._people(held)
        self._exceptions(held)
        self._partners(held, names)
        self._offboardings(held, names)
        if self.lens is not None:
            self._blank(held)
        self._notes()
        register = held[-1].register if held else None
        people = self._column("SELECT person, name FROM people")
        mentioned = self._column("SELECT partner, name FROM partners WHERE partner IS NOT NULL")
        customer = str(self.found.entries[-1].predicate.get("customer") or self.found.origin)
        return Period(
            customer=customer,
            name=customer if register is None else register.customer.name,
            first=self.first,
            last=self.last,
            as_of=self.found.entries[-1].at.replace(tzinfo=UTC),
            counted_to=self.end.replace(tzinfo=UTC),
            origin=self.found.origin,
            size=self.found.last_sequence,
            first_sequence=self.found.entries[0].sequence,
            last_sequence=self.found.last_sequence,
            partner=self.partner,
            sample_size=sample_size,
            seed=seed,
            people=people,
            partners=names | mentioned if self.partner is None else mentioned,
            notes=tuple(self.notes),
            database=database,
        )

    def _views(self) -> None:
        whose = "TRUE" if self.partner is None else f"partner = {sql_text(self.partner)}"
        lost = view(self.db, "every_verdict", self.judged, NAME, dict.fromkeys(ABOUT, "VARCHAR"), all_others=True)
        self.db.execute(f"CREATE TEMP VIEW verdicts AS SELECT * FROM every_verdict WHERE {whose}")
        self._miss(lost, "who was judged, who passed and who could not be judged on those nights is not in the populations and samples")
        self._miss(view(self.db, "findings", self.sound, FINDINGS, _FOUND), "what was found then is not in the spells")
        self._miss(view(self.db, "identities", self.judged, "inventory/identities.parquet", _IDENTITIES), "its identities have no names")
        view(
            self.db,
            "register_controls",
            self.judged,
            "inventory/register_controls.parquet",
            {"control": "VARCHAR", "accountable": "VARCHAR"},
        )
        self.db.execute("CREATE TEMP TABLE answering AS SELECT * FROM register_controls")
        view(self.db, "slas", self.judged, "inventory/register_slas.parquet", _SLAS)
        view(self.db, "looked", self.judged, "inventory/looked.parquet", _LOOKED)
        nights_of = frozenset(self.is_night.values())
        runs_of = Counter(member.day for member in self.judged)
        rows = (
            {
                "sequence": m.sequence,
                "as_of": m.at,
                "is_night": m.sequence in nights_of,
                "alone": runs_of[m.day] == 1 if m.is_judged else None,
            }
            for m in self.found.entries
        )
        fill(self.db, "entry", rows)
        last_sound = max((member.sequence for member in self.sound), default=0)
        fill(self.db, "ending", [{"until": self.end, "last_sound": last_sound, "partner": self.partner}])
        self.db.execute("CREATE TEMP VIEW found AS SELECT f.*, e.as_of FROM findings f JOIN entry e USING (sequence)")

    def _miss(self, sequences: Sequence[int], what: str) -> None:
        if sequences:
            these = f"run {sequences[0]}" if len(sequences) == 1 else f"{len(sequences)} runs ({sequences[0]} to {sequences[-1]})"
            self.notes.append(f"{these} hold no such file, sealed by an older version or disposed of: {what}")

    def _ledger(self) -> None:
        entries, judged, lens = self.found.entries, self.judged, self.lens
        self.db.execute("BEGIN")
        fill(self.db, "runs", ledger.runs(entries, lens))
        began = self.found.begins if self.found.is_whole else None
        made = nights(tuple(ledger.entries(entries, lens)), self.first, self.last, began)
        fill(self.db, "nights", ({name: getattr(night, name) for name in night.__slots__} for night in made))
        fill(self.db, "sources", ledger.sources(judged, self._read_before(), lens))
        fill(self.db, "operations", ledger.operations(judged, lens))
        fill(self.db, "drills", ledger.drills(entries, lens))
        fill(self.db, "receipts", ledger.receipts(judged))
        fill(self.db, "plans", ledger.plans(judged))
        self.db.execute("COMMIT")

    def _read_before(self) -> tuple[tuple[str, str], ...]:
        """Return the (provider, scope) that the run before the period read wholly, as the first run of the period has it on file.

        Each run reads its register, so when the run before it was is what it says of that.
        """
        if not self.judged:
            return ()
        return tuple(
            self.db.execute(
                """
                SELECT DISTINCT provider, scope FROM looked WHERE sequence = $first AND provider <> 'register' AND looked_at = (
                    SELECT max(looked_before) FROM looked WHERE sequence = $first AND provider = 'register') ORDER BY ALL""",
                {"first": self.judged[0].sequence},
            ).fetchall()
        )

    def _results(self) -> None:
        if self.lens is None:
            fill(self.db, "results", ledger.results(self.judged))
        else:
            counted = {(sequence, control): counts for sequence, control, counts in populations.results(self.db, self.controls)}
            fill(self.db, "results", ledger.results_for(self.judged, self.lens, counted))
        latest = self.db.execute("""
            SELECT * FROM results QUALIFY row_number() OVER (PARTITION BY control ORDER BY sequence DESC) = 1 ORDER BY control""")
        names = [column[0] for column in latest.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in latest.fetchall()]
        said: dict[int, dict[str, Row]] = {}
        members_of = {member.sequence: member for member in self.judged}
        self.titles: dict[str, str] = {}
        governed: list[tuple[int, Row]] = []
        for row in rows:
            number = row["sequence"]
            if number not in said:
                said[number] = ledger.controls(members_of[number])
            about = said[number].get(row["control"], {"title": row["control"], "severity": None, "maps_to": []})
            self.titles[row["control"]] = str(about["title"])
            kept = ("control", "verdict", "population", "passed", "failed", "excepted", "unknown")
            governed.append((number, about | {name: row[name] for name in kept} | {"family": shares.family(row["control"])}))
        self._governed = governed

    def _people(self, held: Sequence[InForce]) -> None:
        mine = None if self.lens is None else frozenset(self.titles)
        rows = list(accountability.accountability(held, self.titles, mine, self.lens))
        fill(self.db, "accountability", rows)
        newest = held[-1].first.sequence if held else None
        by_control = {str(row["control"]): row for row in rows if row["from_sequence"] == newest}
        answers = {(number, control): person for number, control, person in self.db.execute("SELECT * FROM answering").fetchall()}
        fill(
            self.db,
            "controls",
            (
                row
                | {
                    "governed_by": by_control.get(str(row["control"]), {}).get("governed_by"),
                    "accountable": answers.get((number, row["control"])),
                }
                for number, row in self._governed
            ),
        )
        counted = self._counts(
            "SELECT accountable, count(*), count(*) FILTER (overdue_days > 0) FROM spells WHERE state = 'open' GROUP BY accountable"
        )
        people = []
        for row in accountability.people(held, frozenset(self.titles), self.lens):
            opened_, overdue = counted.get(str(row["person"]), (0, 0))
            if self.lens is None or row["controls"] or row["workloads"] or opened_ or row["party"] == self.partner:
                people.append(row | {"open_findings": opened_, "overdue": overdue})
        fill(self.db, "people", people)
        fill(self.db, "workloads", accountability.workloads(held, self.lens))

    def _exceptions(self, held: Sequence[InForce]) -> None:
        if not held:
            return
        wanted = sorted({entry.subject for each in held for entry in each.register.exceptions.values()})
        self.db.execute("CREATE TEMP TABLE wanted (subject VARCHAR)")
        fill(self.db, "wanted", ({"subject": subject} for subject in wanted))
        subjects = {
            subject: (name, partner)
            for subject, name, partner in self.db.execute("""
                SELECT subject, arg_max(identity_name, (sequence, n)), arg_max(partner, (sequence, n)) FROM (
                    SELECT f.subject, f.identity_name, f.partner, f.sequence, f.control AS n FROM found f SEMI JOIN wanted USING (subject)
                    UNION ALL SELECT v.subject, n.name, v.partner, v.sequence, '' FROM every_verdict v SEMI JOIN wanted USING (subject)
                    LEFT JOIN names n ON n.uid = coalesce(v.identity, v.subject)
                ) GROUP BY subject""").fetchall()
        }
        used = self._counts("""
            SELECT excepted, count(DISTINCT as_of::DATE), min(as_of), max(as_of) FROM found WHERE state = 'excepted' GROUP BY excepted""")
        severities = {str(about["control"]): about["severity"] for _, about in self._governed}
        rows = []
        for row in excepted.exceptions(held, self.judged[-1].at.replace(tzinfo=UTC), subjects, self.lens):
            times, first, last = used.get(str(row["exception"]), (0, None, None))
            about = {"severity": severities.get(str(row["control"])), "nights_used": times, "first_used": first, "last_used": last}
            rows.append(row | about)
        fill(self.db, "exceptions", rows)

    def _partners(self, held: Sequence[InForce], names: Mapping[str, str]) -> None:
        last = next((m.sequence for m in reversed(self.judged) if m.file(NAME) is not None), None)
        tonight = {} if last is None else populations.tonight(self.db, self.controls, last)
        cards = self._counts("""
            SELECT partner, count(opened_sequence), count(closed_sequence), count(*) FILTER (state = 'open'),
                   count(*) FILTER (state = 'open' AND severity = 'critical'), count(*) FILTER (state = 'open' AND severity = 'high'),
                   count(*) FILTER (state = 'open' AND overdue_days > 0), quantile_disc(days, 0.5) FILTER (closed_sequence IS NOT NULL)
            FROM spells GROUP BY partner""")
        met = self._counts("SELECT partner, count(*) FILTER (met), count(*) FILTER (NOT met) FROM clocks GROUP BY partner")
        entries = accountability.partners(held)
        everybody: set[str | None] = {*names, *tonight, *cards, None}
        listed = [*sorted(each for each in everybody if each is not None), None]
        rows: list[Row] = []
        for each in listed if self.partner is None else [self.partner]:
            contract = entries[each].contract if each is not None and each in entries else None
            counts = tonight.get(each) if last is not None else None
            opened_, closed, standing, critical, high, overdue, median = cards.get(each, (0, 0, 0, 0, 0, 0, None))
            kept, missed = met.get(each, (0, 0))
            row: Row = {
                "partner": each, "name": None if each is None else names.get(each, each),
                "opened": opened_, "closed": closed, "open": standing, "critical": critical, "high": high, "overdue": overdue,
                "median_days_to_close": median, "clocks_met": kept, "clocks_missed": missed,
            }  # fmt: skip
            if contract is not None:
                row |= {
                    "contract": contract.reference, "starts": contract.starts, "ends": contract.ends,
                    "retention": contract.evidence_retention, "direct_evidence_access": contract.direct_evidence_access,
                }  # fmt: skip
            if last is not None:
                seen = counts or Counter()
                columns = {"identities": "identities", "credentials": "credentials", "passed": "pass", "failed": "fail"}
                columns |= {"excepted": "excepted", "unknown": "unknown"}
                row |= {name: seen.get(key, 0) for name, key in columns.items()}
                row["checks"] = sum(seen.get(key, 0) for key in ("pass", "fail", "excepted", "unknown"))
            rows.append(row)
        fill(self.db, "partners", rows)

    def _offboardings(self, held: Sequence[InForce], names: Mapping[str, str]) -> None:
        asked: dict[str, list[str]] = {}
        certified: dict[str, Row] = {}
        for member in self.found.entries:
            partner = member.predicate.get("partner")
            if member.kind != "offboard" or not isinstance(partner, str):
                continue
            if "certificate" in member.predicate:
                certified[partner] = {"certified": member.predicate.get("state"), "certificate": member.predicate["certificate"]}
            else:
                asked.setdefault(partner, []).append(member.said.run)
        ended = {}
        for each in names:
            day, over = accountability.end_of(held, each)
            if day is not None and over is not None and day <= self.last and self.partner in (None, each):
                ended[each] = (day, over)
        have = {member.sequence for member in self.judged if member.file("inventory/identities.parquet") is not None}
        nights_of = {member.sequence: member.at for member in self.judged if member.sequence in have & set(self.is_night.values())}
        rows: list[Row] = []
        for each, looks in offboardings.looks(self.db, sorted(ended), ledger.read_wholly(self.judged), nights_of):
            day, over = ended[each]
            came = offboardings.outcome(looks, day, over)
            said = {name: getattr(came, name) for name in came.__slots__}
            rows.append(
                {"partner": each, "name": names[each], "ended_on": day, "runs": asked.get(each, [])} | said | certified.get(each, {})
            )
        fill(self.db, "offboardings", rows)

    def _partners_seen(self) -> set[str]:
        rows = self.db.execute("SELECT DISTINCT partner FROM found UNION SELECT DISTINCT partner FROM every_verdict").fetchall()
        return {partner for (partner,) in rows if partner is not None}

    def _blank(self, held: Sequence[InForce]) -> None:
        assert self.lens is not None
        words = one_partner.names_of_others((each.register for each in held), self._seen_partners, self.lens.partner)
        one_partner.blank(self.db, words, self.lens)
        self.notes.append(
            f"only what is {self.lens.partner}'s: counts of sources, names of files and paths that were read, why runs failed or were "
            "stopped, and what names others are withheld"
        )

    def _notes(self) -> None:
        stopped = len(self.judged) - len(self.sound)
        if stopped:
            self.notes.append(f"the run guard stopped {stopped} runs: what they found opened and closed nothing, and is in no spell")
        (again,) = self.db.execute("SELECT coalesce(sum(begun_again), 0) FROM spans").fetchone() or (0,)
        if again and self.partner is None:
            self.notes.append(
                f"{again} findings began again without having been closed, as when a state database is lost; each is told as one spell"
            )
        if self.end > self.found.entries[-1].at:
            self.notes.append(
                f"nothing is on file after {self.found.entries[-1].at:%Y-%m-%d}; what stood then is counted on to {self.end:%Y-%m-%d}"
            )

    def _counts(self, query: str) -> dict[str | None, tuple[Any, ...]]:
        return {row[0]: tuple(row[1:]) for row in self.db.execute(query).fetchall()}

    def _column(self, query: str) -> dict[str, str]:
        return dict(sorted(self.db.execute(query).fetchall()))
