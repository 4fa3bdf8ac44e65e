"""OSCAL assessment results of a period: one result, an observation for each control, and a finding where something is known."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

from countersign.oscal import frame, risks
from countersign.oscal.asked import ask
from countersign.oscal.words import ident, kept, markup, midnight, moment, props, token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.oscal.asked import Asked, Row
    from countersign.period import Period

ROOT = "assessment-results"
_CSF = "csf-2.0:"
_KNOWN = ("pass", "fail", "unknown")
"""Verdicts that make a finding; where nobody was judged there is none."""
_COUNTS = ("population", "passed", "failed", "excepted", "unknown")
_RUNS = ("runs_judged", "runs_passed", "runs_failed", "runs_unknown", "runs_not_assessed")
_NOT_COMPLETE = {
    "partial": "Some scopes could not be read.",
    "stopped": "The run guard stopped the run: what it found was not taken over.",
    "failed": "The run failed.",
    "missing": "Nothing was judged.",
    "before": "The ledger had not begun.",
}


def assessment_results(period: Period) -> dict[str, Any]:
    """Return the document as a dict of JSON's types, the same for the same tables.

    A control that could not be judged is not satisfied, with the reason `other`; one that had nobody to judge has an observation
    and no finding. Lists findings up to a bound, the worst first, and says how many more there are.
    """
    asked = ask(period)
    named = risks.names(asked) | frame.named_in(asked.controls, "accountable")
    return frame.sealed(ROOT, {
        "metadata": frame.metadata(period, asked, "Assessment results", named),
        "import-ap": {"href": f"#{frame.resource(period, 'plan')}", "remarks": "No plan is in OSCAL; see the resource."},
        **({"local-definitions": {"objectives-and-methods": _objectives(asked)}} if asked.controls else {}),
        "results": [_result(period, asked)],
        "back-matter": frame.back_matter(period, asked),
    })  # fmt: skip


def observations(period: Period, asked: Asked, only: frozenset[str] | None = None) -> list[dict[str, Any]]:
    """Return what was observed of each control, with the sources as subjects; `only`: of these controls, without subjects."""
    sources: dict[str, list[str]] = {}
    for row in asked.sources if only is None else ():
        sources.setdefault(row["provider"], []).append(_source_uuid(period, row))
    return [_observation(period, row, sources) for row in asked.controls if only is None or row["control"] in only]


def _result(period: Period, asked: Asked) -> dict[str, Any]:
    open_, excepted = risks.listed(period, asked)
    related: dict[str, list[str]] = {}
    for row in (*asked.open, *asked.excepted):
        related.setdefault(row["control"], []).append(risks.risk_uuid(period, row))
    nights = {state: sum(night["state"] == state for night in asked.nights) for state in ("complete", *_NOT_COMPLETE)}
    end = moment(period.as_of)
    log = _gaps(period, asked)
    return kept({
        "uuid": ident("result", period.customer, period.partner or "", str(period.first), str(period.last), str(period.last_sequence)),
        "title": f"{period.first} to {period.last}",
        "description": (
            f"What {nights['complete'] + nights['partial']} judged nights of {len(asked.nights)} saw. How a control stands is how its last "
            "judged run had it; what went before is in the counts of its observation and in the tables of the bundle."
        ),
        "start": midnight(period.first),
        "end": end,
        "props": props({f"nights-{state}": count for state, count in nights.items()}),
        "local-definitions": kept({
            "components": [_component(period, row) for row in asked.sources],
            "assessment-assets": frame.assets(period, asked),
        }),
        "reviewed-controls": _reviewed(asked),
        "assessment-log": {"entries": log} if log else None,
        "observations": observations(period, asked),
        "risks": open_ + excepted,
        "findings": [_finding(period, row, related.get(row["control"], [])) for row in asked.controls if row["verdict"] in _KNOWN],
        "remarks": None if asked.controls else "No control was judged in this period.",
    })  # fmt: skip


def _title(row: Row) -> str:
    return markup(row["title"] or row["control"])


def _requirements(row: Row) -> list[str]:
    """Return the NIST CSF 2.0 ids that a control speaks to, which are what a control id is here; its own where there are none."""
    return sorted({token(each.removeprefix(_CSF)) for each in row["maps_to"] or () if each.startswith(_CSF)}) or [token(row["control"])]


def _objectives(asked: Asked) -> list[dict[str, Any]]:
    """Our controls as objectives of the requirements that they speak to."""
    return [
        kept({
            "control-id": _requirements(row)[0],
            "props": props({"severity": row["severity"], "family": row["family"], "governed-by": row["governed_by"]})
            + [prop for each in row["maps_to"] or () for prop in props({"requirement": each})],
            "parts": [{"id": token(row["control"]), "name": "assessment-objective", "prose": f"Fails where: {_title(row)}"}],
        })
        for row in asked.controls
    ]  # fmt: skip


def _reviewed(asked: Asked) -> dict[str, Any]:
    if not asked.controls:
        return {"control-selections": [{"include-all": {}, "remarks": "No control was judged."}]}
    ids = sorted({each for row in asked.controls for each in _requirements(row)})
    return {
        "description": "NIST CSF 2.0 subcategories to which the judged controls speak. That a control holds is evidence for them, no more.",
        "control-selections": [{"include-controls": [{"control-id": each} for each in ids]}],
        "control-objective-selections": [{"include-objectives": [{"objective-id": token(row["control"])} for row in asked.controls]}],
    }


def _source_uuid(period: Period, row: Row) -> str:
    return ident("source", period.customer, row["source"], row["provider"])


def _component(period: Period, row: Row) -> dict[str, Any]:
    whole = row["last_scopes"] and row["last_complete"] == row["last_scopes"]
    counted = not row["uncounted"] and row["last_scopes"]
    return {
        "uuid": _source_uuid(period, row),
        "type": "service",
        "title": f"{markup(row['source'])} ({markup(row['provider'])})",
        "description": "A source of the inventory, in aggregate; each scope and operation is in completeness/ of the bundle.",
        "props": props({
            "source": row["source"], "provider": row["provider"], "scopes": row["scopes"], "runs": row["runs"],
            "runs-not-complete": row["runs_not_complete"], "last-scopes": row["last_scopes"], "last-scopes-complete": row["last_complete"],
            "identities": row["identities"] if counted else None, "credentials": row["credentials"] if counted else None,
        }),
        "status": {"state": "operational"} if whole else {"state": "other", "remarks": "The last run did not read all of its scopes."},
    }  # fmt: skip


def _observation(period: Period, row: Row, sources: Mapping[str, list[str]]) -> dict[str, Any]:
    subjects = [uuid for provider in row["providers"] or () for uuid in sources.get(provider, ())]
    counts = ", ".join(f"{row[name] if row[name] is not None else 'not known'} {name}" for name in _COUNTS[1:])
    remarks = []
    if row["verdict"] == "not assessed":
        remarks.append(
            "Nobody was in the population of the last run, so there is nothing to find: neither that it holds nor that it fails."
        )
    if row["unknown_scopes"]:
        remarks.append(f"Scopes that were not read: {row['unknown_scopes']}. Each is one of the unknown, whatever it holds.")
    if row["guard"] is not None:
        remarks.append(f"The run guard stopped that run: {markup(row['guard'])}.")
    return kept({
        "uuid": risks.observation_uuid(period, row["control"]),
        "title": _title(row),
        "description": f"Control {markup(row['control'])}, {_judged(row)}: {row['population']} in the population, {counts}.",
        "props": props({
            "control": row["control"], "verdict": row["verdict"], **{name: row[name] for name in _COUNTS},
            "unknown-scopes": row["unknown_scopes"], "run": row["sequence"], "run-state": row["run_state"],
            **{name.replace("_", "-"): row[name] for name in _RUNS},
        }),
        "methods": ["TEST"],
        "types": ["control-objective"],
        "origins": frame.origins(period),
        "subjects": [{"subject-uuid": uuid, "type": "component"} for uuid in subjects],
        "relevant-evidence": [{
            "href": f"#{frame.resource(period, 'populations')}",
            "description": f"Everybody in the population: the rows in which the column control is {markup(row['control'])}.",
        }],
        "collected": moment(row["judged_as_of"]) or moment(period.as_of),
        "remarks": " ".join(remarks) or None,
    })  # fmt: skip


def _judged(row: Row) -> str:
    when = moment(row["judged_as_of"])
    return "last judged at a time that is not on file" if when is None else f"last judged as of {when}"


def _finding(period: Period, row: Row, related: list[str]) -> dict[str, Any]:
    uuid = ident("finding", risks.observation_uuid(period, row["control"]))
    return kept({
        "uuid": uuid,
        "title": _title(row),
        "description": f"How control {markup(row['control'])} stood, {_judged(row)}.",
        "props": props({"control": row["control"], "verdict": row["verdict"], "accountable": row["accountable"]}),
        "origins": frame.origins(period),
        "target": {"type": "objective-id", "target-id": token(row["control"]), "status": _status(row)},
        "related-observations": [{"observation-uuid": risks.observation_uuid(period, row["control"])}],
        "related-risks": [{"risk-uuid": each} for each in related],
    })  # fmt: skip


def _status(row: Row) -> dict[str, str]:
    """Satisfied is only what a run that was believed knew to hold everywhere, without an exception."""
    if row["verdict"] == "fail":
        return {"state": "not-satisfied", "reason": "fail"}
    if row["verdict"] == "unknown":
        return {
            "state": "not-satisfied",
            "reason": "other",
            "remarks": f"Not known: {row['unknown']} of {row['population']} could not be judged, and none is known to fail.",
        }
    if row["guard"] is not None:
        return {"state": "not-satisfied", "reason": "other", "remarks": "The run guard did not believe the run that says it holds."}
    if row["excepted"]:
        return {
            "state": "not-satisfied",
            "reason": "other",
            "remarks": f"{row['excepted']} of {row['population']} fail under approved exceptions; all others hold.",
        }
    return {"state": "satisfied", "reason": "pass"}


def _gaps(period: Period, asked: Asked) -> list[dict[str, Any]]:
    """Return an entry for each day that is not complete."""
    return [
        kept({
            "uuid": ident("night", period.customer, period.partner or "", str(night["day"])),
            "title": f"{night['day']}: {night['state']}",
            "description": " ".join((_NOT_COMPLETE[night["state"]], *(("On file:", markup(night["why"])) if night["why"] else ()))),
            "start": midnight(night["day"]),
            "end": moment(period.as_of) if night["day"] == period.as_of.date() else f"{night['day']}T{time.max.replace(microsecond=0)}Z",
            "props": props({"state": night["state"], "run": night["sequence"], "failed-runs": night["failures"]}),
        })
        for night in asked.nights
        if night["state"] in _NOT_COMPLETE
    ]  # fmt: skip
