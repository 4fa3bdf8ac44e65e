"""OSCAL plan of action and milestones: an item for each open finding, with its risk, its date and its ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from countersign.oscal import frame, results, risks
from countersign.oscal.asked import ask
from countersign.oscal.words import NS, ident, kept, line, props

if TYPE_CHECKING:
    from countersign.oscal.asked import Asked, Row
    from countersign.period import Period

ROOT = "plan-of-action-and-milestones"


def plan_of_action(period: Period) -> dict[str, Any]:
    """Return the document as a dict of JSON's types, the same for the same tables.

    Holds open findings only, the worst first up to a bound; excepted ones are risks of the assessment results. OSCAL wants at least
    one item: where nothing is open, the only one says so.
    """
    asked = ask(period)
    open_, _ = risks.listed(period, asked)
    standing = frozenset(row["control"] for row in asked.open)
    named = risks.names(asked) | frame.named_in(asked.controls, "accountable")
    return frame.sealed(ROOT, kept({
        "metadata": frame.metadata(period, asked, "Plan of action and milestones", named),
        "system-id": {"identifier-type": NS, "id": line(period.customer)},
        "local-definitions": {"assessment-assets": frame.assets(period, asked)},
        "observations": results.observations(period, asked, standing),
        "risks": open_,
        "poam-items": [_item(period, row) for row in asked.open] or [_nothing(period, asked)],
        "back-matter": frame.back_matter(period, asked),
    }))  # fmt: skip


def _item(period: Period, row: Row) -> dict[str, Any]:
    overdue = row["overdue_days"]
    when = f"Overdue by {overdue} days." if overdue else "Not overdue." if row["due"] else "No service level sets a date."
    return {
        "uuid": ident("item", risks.risk_uuid(period, row)),
        "title": risks.about(row),
        "description": f"Open for {row['days'] if row['days'] is not None else 'an unknown number of'} days. {when} "
        "It is done when a later run sees the control hold.",
        "props": props({name: row[name] for name in ("control", "severity", "partner", "accountable", "fingerprint", "ticket")}),
        "origins": frame.origins(period),
        **({"related-observations": [{"observation-uuid": risks.observation_uuid(period, row["control"])}]} if row["is_judged"] else {}),
        "related-risks": [{"risk-uuid": risks.risk_uuid(period, row)}],
    }


def _nothing(period: Period, asked: Asked) -> dict[str, Any]:
    unknown = sum(row["unknown"] or 0 for row in asked.controls)
    return {
        "uuid": ident("nothing", period.customer, period.partner or "", str(period.first), str(period.last)),
        "title": "No finding is open",
        "description": "This is no item to act on: OSCAL wants at least one. No finding stood open at the end of the period. "
        f"{unknown} verdicts of the last runs are unknown, and what could not be judged is not known to hold.",
    }
