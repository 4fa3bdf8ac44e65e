"""Open and excepted findings as OSCAL risks: how bad, since when, due when, tracked by which ticket, accepted by whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from countersign.oscal.frame import named_in, origins, person
from countersign.oscal.words import NS, ident, kept, line, markup, midnight, moment, props

if TYPE_CHECKING:
    from countersign.oscal.asked import Asked, Row
    from countersign.period import Period


def names(asked: Asked) -> set[str]:
    """Return the people whom the risks name."""
    accepted = [row for row in asked.exceptions if row["exception"] in {risk["excepted"] for risk in asked.excepted}]
    return named_in([*asked.open, *asked.excepted], "accountable") | named_in(accepted, "requested_by", "approved_by")


def risk_uuid(period: Period, row: Row) -> str:
    """Return the uuid of a finding's risk: the same in both documents and in the next period, for as long as the finding stands."""
    return ident("risk", period.customer, row["fingerprint"], str(row["opened"]))


def observation_uuid(period: Period, control: str) -> str:
    """Return the uuid of what this period observed of a control."""
    return ident("observation", period.customer, period.partner or "", str(period.first), str(period.last), control)


def listed(period: Period, asked: Asked) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the risks of open findings and those of excepted ones, each in the order of the tables."""
    by_id = {row["exception"]: row for row in asked.exceptions}
    refused: dict[tuple[str, str], Row] = {(row["control"], row["subject"]): row for row in asked.exceptions if row["state"] == "invalid"}
    return (
        [_risk(period, row, refused=refused.get((row["control"], row["subject"]))) for row in asked.open],
        [_risk(period, row, accepted=by_id.get(row["excepted"])) for row in asked.excepted],
    )


def about(row: Row) -> str:
    """Return what a finding is about, in a line of Markdown without any."""
    return f"{markup(row['title'] or row['control'])}: {markup(row['identity_name'] or row['subject'])}"


def _facts(row: Row) -> list[dict[str, Any]]:
    return props({
        "control": row["control"], "subject": row["subject"], "subject-kind": row["subject_kind"], "identity": row["identity"],
        "identity-name": row["identity_name"], "provider": row["provider"], "scope": row["scope"], "partner": row["partner"],
        "accountable": row["accountable"], "severity": row["severity"], "fingerprint": row["fingerprint"],
        "opened": moment(row["opened"]), "days-open": row["days"],
        "due": moment(row["due"]), "overdue-days": row["overdue_days"], "reopened": row["reopened"], "ticket": row["ticket"],
        "ticket-key": row["ticket_key"], "not-observed-since": moment(row["unobserved_since"]), "exception": row["excepted"],
    })  # fmt: skip


def _risk(period: Period, row: Row, *, accepted: Row | None = None, refused: Row | None = None) -> dict[str, Any]:
    excepted = row["state"] == "excepted"
    said = _facts(row)
    if refused is not None:
        (prop,) = props({"exception-refused": refused["exception"]})
        said.append(prop | {"remarks": f"An exception that does not hold: {markup(refused['refused_first'] or refused['refused'])}."})
    uuid = risk_uuid(period, row)
    guard = None if accepted is None else accepted["compensating_control"]
    factors = [{"uuid": ident("mitigation", uuid), "description": f"Compensating control: {markup(guard)}"}] if guard else None
    return kept({
        "uuid": uuid,
        "title": about(row),
        "description": f"Why it fails: {markup(row['reason'])}" if row["reason"] else "Why it fails is not on file.",
        "statement": f"{markup(row['title'] or row['control'])}. Severity as the control has it: {markup(row['severity'] or 'not known')}.",
        "props": said,
        "status": "deviation-approved" if excepted else "open",
        "origins": origins(period),
        "characterizations": [{
            "origin": origins(period)[0],
            "facets": [{"name": "severity", "system": NS, "value": line(row["severity"] or "not known")}],
        }],
        "mitigating-factors": factors,
        "deadline": moment(row["due"]),
        "remediations": [_remediation(period, row, uuid)],
        "risk-log": {"entries": _log(period, row, uuid, accepted)},
        "related-observations": [{"observation-uuid": observation_uuid(period, row["control"])}] if row["is_judged"] else None,
    })  # fmt: skip


def _remediation(period: Period, row: Row, uuid: str) -> dict[str, Any]:
    due, ticket = moment(row["due"]), row["ticket"]
    answers = [{"role-id": "accountable", "party-uuids": [person(period, row["accountable"])]}] if row["accountable"] else None
    task = {
        "uuid": ident("task", uuid), "type": "milestone", "title": "Due by the service level",
        "timing": {"on-date": {"date": due}}, "responsible-roles": answers,
    }  # fmt: skip
    said = "A later run has to see the control hold; that a ticket was closed proves nothing."
    return kept(
        {
            "uuid": ident("response", uuid),
            "lifecycle": "planned" if ticket else "recommendation",
            "title": f"Ticket {markup(ticket)}" if ticket else "No ticket of the desk is known",
            "description": said if due else f"{said} No service level sets a date.",
            "props": props({"ticket": ticket, "ticket-key": row["ticket_key"]}),
            "tasks": [kept(task)] if due else None,
        }
    )


def _log(period: Period, row: Row, uuid: str, accepted: Row | None) -> list[dict[str, Any]]:
    entries = [_entry(uuid, "opened", moment(row["opened"]), "It began to fail.", status="open")]
    if row["state"] == "excepted":
        entries.append(_exception(period, row, uuid, accepted))
    if row["unobserved_since"] is not None:
        text = "From here on it could not be looked at wholly: neither that it stands nor that it is gone is known."
        entries.append(_entry(uuid, "not-observed", moment(row["unobserved_since"]), text))
    return [entry for entry in entries if "start" in entry] or [
        # The log wants a beginning, and the period's is the latest at which it can have been.
        _entry(uuid, "opened", midnight(period.first), "It began to fail before this; when is not on file.", status="open")
    ]  # fmt: skip


def _exception(period: Period, row: Row, uuid: str, accepted: Row | None) -> dict[str, Any]:
    if accepted is None:
        text = f"Accepted under exception {markup(row['excepted'])}, which is not in the register of the period's last run."
        return _entry(uuid, "accepted", moment(row["opened"]), text, status="deviation-approved")
    approver = accepted["approved_by"]
    reasons = {"Why": accepted["reason"], "Ends when": accepted["exit_criteria"], "Asked for by": accepted["requested_by"]}
    sentences = [f"Accepted under exception {markup(row['excepted'])}, approved by {markup(approver) if approver else 'nobody on file'}."]
    sentences += [f"{name}: {markup(value)}." for name, value in reasons.items() if value]
    sentences.append("Of the approval the day is on file, not the hour." if accepted["approved_on"] else "When is not on file.")
    logged = [{"party-uuid": person(period, approver), "role-id": "approver"}] if approver else None
    start = midnight(accepted["approved_on"]) or moment(row["opened"])
    entry = _entry(uuid, "accepted", start, " ".join(sentences), status="deviation-approved")
    return entry | kept({
        "logged-by": logged,
        "props": props({
            "exception": row["excepted"], "requested-by": accepted["requested_by"], "approved-by": approver,
            "approved-on": accepted["approved_on"], "expires": accepted["expires"], "renewals": accepted["renewals"],
            "nights-used": accepted["nights_used"], "in-force": accepted["in_force"],
        }),
    })  # fmt: skip


def _entry(uuid: str, kind: str, start: str | None, text: str, *, status: str | None = None) -> dict[str, Any]:
    return kept({
        "uuid": ident("log", kind, uuid), "title": kind.capitalize().replace("-", " "), "description": text, "start": start,
        "status-change": status,
    })  # fmt: skip
