"""What both documents have around their content: metadata, parties, the tool that judged, and where in the bundle the rest lies."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import uuid5

import orjson

from countersign.errors import CountersignError
from countersign.oscal.asked import MOST
from countersign.oscal.references import problems
from countersign.oscal.words import NAMESPACE, VERSION, ident, kept, line, markup, moment, props

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from countersign.oscal.asked import Asked
    from countersign.period import Period

_FILES = {
    "populations": ("../populations/populations.parquet", "application/vnd.apache.parquet", "Everybody whom each control judged."),
    "spells": ("../operation/spells.csv", "text/csv", "Each time that a finding was open, resolved ones too."),
    "nights": ("../operation/nights.csv", "text/csv", "Every night of the period and what explains its gaps."),
    "exceptions": ("../exceptions/exceptions.csv", "text/csv", "What was accepted for a time, by whom and until when."),
    "tickets": ("../tickets/tickets.csv", "text/csv", "Tickets that carried findings."),
    "accountability": ("../accountability/raci.csv", "text/csv", "Who is responsible, accountable, consulted and informed."),
}
_ROLES = {
    "customer": "The customer, who is accountable for every control",
    "partner": "A partner, who may do the work but answers to the customer",
    "accountable": "Answers for a control at the customer",
    "approver": "Approved an exception",
}
_ABOUT = (
    "Made from sealed evidence only, as of {as_of}; every time is UTC. These are counts and what stands open; all of it is in the tables "
    "of the bundle that this file came in. The namespace of props is our own. In titles and sentences Markdown in names is escaped; props "
    "hold names as they were, on one line and cut after 500 characters."
)


def sealed(root: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Give a document its own uuid, made from all that it says, and its root; raise CountersignError where a reference leads nowhere."""
    said = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    whole = {root: {"uuid": str(uuid5(NAMESPACE, f"{root}\0{hashlib.sha256(said).hexdigest()}"))} | dict(document)}
    if wrong := problems(whole):
        # No evidence can bring this about, only our own code.
        message = f"the OSCAL {root} would not hold together: {'; '.join(wrong[:3])}"
        raise CountersignError(message, fix="please report this, with the version of the program")
    return whole


def person(period: Period, name: str) -> str:
    """Return the uuid of a person."""
    return ident("person", period.customer, name)


def partner(period: Period, name: str) -> str:
    """Return the uuid of a partner."""
    return ident("partner", period.customer, name)


def customer(period: Period) -> str:
    """Return the uuid of the customer."""
    return ident("customer", period.customer)


def tool(period: Period) -> str:
    """Return the uuid of the component that judged: this program at this customer."""
    return ident("tool", period.customer)


def origins(period: Period) -> list[dict[str, Any]]:
    """Say that the program found it."""
    return [{"actors": [{"type": "tool", "actor-uuid": tool(period)}]}]


def metadata(period: Period, asked: Asked, title: str, named: Iterable[str]) -> dict[str, Any]:
    """Return the metadata; `named`: ids of the people whom the document refers to, the only ones that it lists."""
    named = sorted(set(named))
    accountable = sorted({row["accountable"] for row in asked.controls if row["accountable"]})
    partners = [partner(period, each) for each in sorted(period.partners)]
    answering = {"customer": [customer(period)], "partner": partners, "accountable": [person(period, each) for each in accountable]}
    days = f"{period.first} to {period.last}"
    return kept({
        "title": f"{title}: {markup(period.name)}, {days}",
        "last-modified": moment(period.as_of),
        "version": f"{period.first}/{period.last}",
        "oscal-version": VERSION,
        "props": props({
            "period-from": period.first, "period-to": period.last, "as-of": moment(period.as_of), "ledger-origin": period.origin,
            "ledger-size": period.size, "ledger-first": period.first_sequence, "ledger-last": period.last_sequence,
            "partner": period.partner, "open-findings": asked.counts.get("open", 0), "open-findings-listed": len(asked.open),
            "excepted-findings": asked.counts.get("excepted", 0), "excepted-findings-listed": len(asked.excepted),
        }),
        "roles": [{"id": role, "title": said} for role, said in _ROLES.items()],
        "parties": _parties(period, asked, named),
        "responsible-parties": [{"role-id": role, "party-uuids": ids} for role, ids in answering.items() if ids],
        "remarks": _remarks(period, asked),
    })  # fmt: skip


def assets(period: Period, asked: Asked) -> dict[str, Any]:
    """Return the program as component and platform."""
    version, commit = asked.code
    component = {
        "uuid": tool(period), "type": "software", "title": "Countersign",
        "description": "Reads what the providers say, judges it against the register, and seals what it saw.",
        "props": props({"version": version, "commit": commit}), "status": {"state": "operational"},
    }  # fmt: skip
    platform = {
        "uuid": ident("platform", period.customer),
        "title": "Where the customer runs Countersign",
        "uses-components": [{"component-uuid": tool(period)}],
    }
    return {"components": [kept(component)], "assessment-platforms": [platform]}


def resource(period: Period, name: str) -> str:
    """Return the uuid of a resource of the back matter: one of the bundle's files, or `plan`."""
    return ident("resource", period.customer, name)


def back_matter(period: Period, asked: Asked) -> dict[str, Any]:
    """Return the resources: what stood in place of a plan, and the bundle's tables."""
    plan = {
        "uuid": resource(period, "plan"),
        "title": "What was planned: the register, and the controls that judge it every night",
        "description": (
            "There is no OSCAL assessment plan. What was to be judged, and against what, is the customer's register of partners, "
            "workloads, people and service levels. Each sealed run carries it as it was; these are the digests of those in force."
        ),
        "props": [
            each | {"remarks": f"Runs {row['first']} to {row['last']}."}
            for row in asked.registers
            for each in props({"register-digest": row["register_digest"]})
        ],
    }  # fmt: skip
    files = (
        {"uuid": resource(period, name), "title": said, "rlinks": [{"href": href, "media-type": kind}]}
        for name, (href, kind, said) in _FILES.items()
    )
    return {"resources": [kept(plan), *files]}


def named_in(rows: Sequence[Mapping[str, Any]], *columns: str) -> set[str]:
    """Return the people whom these columns name."""
    return {row[column] for row in rows for column in columns if row[column]}


def _parties(period: Period, asked: Asked, named: Iterable[str]) -> list[dict[str, Any]]:
    known = {row["person"]: row for row in asked.people}
    parties = [
        {"uuid": customer(period), "type": "organization", "name": line(period.name), "props": props({"id": period.customer})},
        *(
            {"uuid": partner(period, each), "type": "organization", "name": line(name), "props": props({"id": each})}
            for each, name in sorted(period.partners.items())
        ),
    ]
    for each in named:
        row = known.get(each)
        of = None if row is None else customer(period) if row["party"] is None else partner(period, row["party"])
        parties.append(
            kept({
                "uuid": person(period, each), "type": "person", "name": line(each if row is None else row["name"] or each),
                "props": props({"id": each, "active": None if row is None else row["active"]}),
                "member-of-organizations": [of] if of and (row is None or row["party"] in (None, *period.partners)) else None,
                "remarks": "The tables of people do not have this one." if row is None else None,
            })
        )  # fmt: skip
    return parties


def _remarks(period: Period, asked: Asked) -> str:
    said = [_ABOUT.format(as_of=moment(period.as_of))]
    left = asked.counts.get("open", 0) - len(asked.open)
    if left:
        said.append(f"Of {asked.counts['open']} open findings the worst {MOST} are listed; {left} more stand in operation/spells.csv.")
    left = asked.counts.get("excepted", 0) - len(asked.excepted)
    if left:
        said.append(f"Of {asked.counts['excepted']} excepted findings {MOST} are listed; {left} more stand in operation/spells.csv.")
    if period.partner is not None:
        said.append(f"Holds only what is the partner's whose id is {markup(period.partner)}.")
    return "\n\n".join([*said, *(f"- {markup(note)}" for note in period.notes)])
