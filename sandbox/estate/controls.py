"""Who answers for which control in Northwind's register, what is excepted from it for a time, and which incidents are open."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from countersign.clock import stamp
from sandbox.estate.places import TENANT, guid

Entry = dict[str, Any]


def controls() -> tuple[Entry, ...]:
    """Write the entry that stands for every control, and those of the few that differ from it."""
    return (
        _control("default", "Whatever a partner does for us, a person of ours answers for it."),
        # What is past its date has been let wait once already.
        _control("rotation-age", "Credentials are replaced before they are old enough to matter.", rotate="P3D"),
        # What is deleted takes two who are accountable.
        _control("contract-ended", "Access ends with the contract.", revoke="PT1H", ends="sam"),
        _control("incident-open", "In an incident, access is cut off within the hour.", revoke="PT1H"),
        # People's log-ins are the office's, and no partner has a part in them.
        _control("human-mfa", "People log in with a second factor.", business="sam", asked="maria", partner=None),
    )


def _control(  # noqa: PLR0913 -- what a control may have of its own
    control: str,
    objective: str,
    *,
    business: str = "maria",
    asked: str = "sam",
    partner: str | None = "acme",
    rotate: str = "P7D",
    revoke: str = "P1D",
    ends: str | None = None,
) -> Entry:
    done = {"R": "devika", "A": business, "C": [asked], "I": ["soc"]}
    made = {**done, "R": partner or "devika"}
    return {
        "control": control,
        "objective": objective,
        "owners": {"business": business, "technical": "devika", "operational": f"{partner}/pavel" if partner else "devika"},
        "answers": {"approves": business, "implements": partner or "devika", "monitors": "devika", "revokes": "devika"},
        "raci": {"provision": made, "rotate": dict(made), "review": done, "revoke": {**done, "A": ends or business}},
        "fallback": "devika",
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": rotate, "revoke": revoke},
        "evidence": ["approvals", "last drill"],
    }


def exceptions(today: date) -> tuple[Entry, ...]:
    """Write one exception that holds, and one that has run out and that nobody ended."""
    return (
        {
            "exception": "EX-0001",
            "control": "rotation-age",
            "subject": f"azure:{TENANT}:client-secret/{guid('secret/payroll-sync/2')}",
            "reason": "The payroll provider takes a new secret only in its change window.",
            "compensating_control": f"Sign-in of app {guid('app/payroll-sync')} is limited to the payroll network.",
            "exit_criteria": "The secret is replaced by the certificate in the next change window.",
            "requested_by": "devika",
            "approved_by": "maria",
            "approved_on": today - timedelta(days=14),
            "approval": "EX-0001.sig",
            "expires": today + timedelta(days=21),
        },
        {
            "exception": "EX-0002",
            "control": "over-privileged",
            "subject": f"azure:{TENANT}:user/{guid('user/larsen')}",
            "reason": "Corvid moves the mailboxes and has to administer the directory meanwhile.",
            "compensating_control": "Sign-ins of the guest are looked through every morning.",
            "exit_criteria": "The mailboxes are moved.",
            "requested_by": "devika",
            "approved_by": "maria",
            "approved_on": today - timedelta(days=70),
            "approval": "EX-0002.sig",
            "expires": today - timedelta(days=10),
        },
    )


def incidents(now: datetime) -> tuple[Entry, ...]:
    """Write an incident that should have been over within the hour, and one that was declared just now."""
    return (
        {
            "incident": "INC-0001",
            "declared_at": stamp((now - timedelta(days=1)).replace(second=0, microsecond=0)),
            "declared_by": "devika",
            "reason": "Somebody works with brightpath's access, and brightpath's contract is over.",
            "partner": "brightpath",
        },
        {
            "incident": "INC-0002",
            "declared_at": stamp((now - timedelta(minutes=10)).replace(second=0, microsecond=0)),
            "declared_by": "devika",
            "reason": "A laptop of corvid's support desk was stolen.",
            "identities": ["aws:*:role/corvid-support"],
        },
    )
