"""What the statement of a bundle says of it: whose, which days, filtered how, from which part of the ledger, what is withheld."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from countersign import run_evidence
from countersign.export import ledger, tables
from countersign.export.pseudonyms import is_plain_slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from countersign.export import Wanted
    from countersign.export.pseudonyms import Pseudonyms
    from countersign.period import Period
    from countersign.programme import Programme


def build(  # noqa: PLR0913 - what a bundle's statement speaks of
    programme: Programme,
    wanted: Wanted,
    said: Period,
    *,
    found: Sequence[ledger.Entry],
    names: Pseudonyms | None,
    unknown: Sequence[str],
) -> dict[str, Any]:
    """Return the predicate, without the digests of the packed files.

    `found`: the ledger's entries from 1 to the period's last. `names`: None where names are as they were. `unknown`: ids of keys that
    nobody has.
    """
    last = ledger.about(found[-1])
    partner = wanted.partner if names is None or wanted.partner is None else names.of("partner", wanted.partner)
    entries = [ledger.about(each) for each in found[said.first_sequence - 1 :]]
    if partner is not None or names is not None:
        # A slot is whatever somebody called it, so it may name a partner.
        entries = [each | {"slot": each["slot"] if is_plain_slot(each["slot"]) else None} for each in entries]
    with tables.opened(said.database) as db:
        counts, nights = tables.counts(db), _nights(db)
    return {
        "customer": programme.customer,
        "asOf": last["asOf"] or last["finished"],
        "code": run_evidence.about(programme, said.as_of, ())["code"],
        "period": {"from": wanted.first.isoformat(), "to": wanted.last.isoformat()},
        "filters": {"partner": partner, "pseudonymised": names is not None, "samples": {"size": wanted.samples, "seed": wanted.seed}},
        "ledger": {
            "origin": found[-1].said.origin, "size": len(found), "root": base64.b64encode(ledger.root(found)).decode(),
            "first": said.first_sequence, "last": said.last_sequence, "entries": entries,
        },
        "counts": counts,
        "nights": nights,
        "withheld": _withheld(wanted, unknown),
    }  # fmt: skip


def open_findings(said: Period) -> dict[str, int]:
    """Count what is open at the end of the period, by severity."""
    with tables.opened(said.database) as db:
        rows = db.execute("SELECT severity, count(*) FROM spells WHERE state = 'open' GROUP BY severity").fetchall()
    return {str(severity): count for severity, count in sorted(rows, key=str)}


def _nights(db: DuckDBPyConnection) -> dict[str, Any]:
    counted = dict(db.execute("SELECT state, count(*) FROM nights GROUP BY state").fetchall())
    missing = db.execute("SELECT day FROM nights WHERE state = 'missing' ORDER BY day").fetchall()
    return {
        # Nights before the ledger began were never promised.
        "expected": sum(count for state, count in counted.items() if state != "before"),
        **{state: counted.get(state, 0) for state in ("complete", "partial", "stopped", "failed")},
        "missing": [day.isoformat() for (day,) in missing],
    }


def _withheld(wanted: Wanted, unknown: Sequence[str]) -> list[dict[str, str]]:
    found = []
    if wanted.partner is not None:
        found.append(
            ("whatever concerns other partners", f"this bundle is for partner {'one' if wanted.pseudonymised else wanted.partner}")
        )
        found.append(("names of the files and paths that were read", "they are the customer's own, unless they name a scope"))
    if wanted.pseudonymised:
        found.append(("names, identifiers and free text", "replaced by pseudonyms (h1: and 64 hex digits) that only the customer can undo"))
    if wanted.partner is not None or wanted.pseudonymised:
        why = "they would tell of others" if wanted.partner is not None else "they hold the names"
        found.append(("statements, checkpoints and timestamps of single entries, results.json and tickets.json", why))
    found += [(f"public key {keyid}", "it signed entries of the period and is not among the programme's keys") for keyid in unknown]
    return [{"what": what, "why": why} for what, why in found]
