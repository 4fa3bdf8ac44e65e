"""A register, a programme and plans for the tests of approvals, with everybody's keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from countersign import scaffold
from countersign.offboarding import folder
from countersign.offboarding.plan import Asked, Noted, Plan
from countersign.programme import load
from countersign.register.approvals import may_approve
from countersign.register.records import Answers, Control, Person, Raci, Register, Step
from countersign.revocation import Change
from tests.countersign.estates import register
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from pathlib import Path

HOUR = timedelta(hours=1)
KEYS = {name: Key() for name in ("maria", "dev", "lee", "nobody", "shared", "pavel", "twin", "ben")}
SIGNERS = "".join(KEYS[name].line(name) for name in ("maria", "dev", "lee", "pavel", "twin", "ben")) + KEYS["shared"].line("maria,dev")


def estate(**changes: Any) -> Register:
    people = {
        "maria": Person(id="maria", name="Maria", email="maria@northwind.example", active=True, accounts={"rt": "mkeller"}),
        "dev": Person(id="dev", name="Dev", email="dev@northwind.example", active=True, accounts={"rt": "danand", "local": "dev"}),
        "lee": Person(id="lee", name="Lee", active=False),
        "ben": Person(id="ben", name="Ben", active=True, accounts={"rt": "ben"}),
        "pavel": Person(id="pavel", name="Pavel", email="pavel@acme.example", active=True),
        "twin": Person(id="twin", name="M. Keller", email="Maria@northwind.example", active=True),
    }
    named = Answers(approves="maria")
    raci = Raci(
        revoke=Step(R="ben", A="dev"), review=Step(R="ben", A="lee"), rotate=Step(R="ben", A="pavel"), provision=Step(R="ben", A="twin")
    )
    held = {
        "people": people,
        "allowed_signers": SIGNERS,
        "controls": {"contract-ended": Control(control="contract-ended", answers=named, raci=raci)},
    }
    return register().model_copy(update=held | changes)


CHANGE = Change(
    action="deactivate-access-key", phase="disable", provider="aws", source="aws", scope="111122223333", target="aws:111122223333:access-key/AKIA",
    name="ci\x1b[2J", says="Deactivate access key AKIA of user ci\x1b[2J", parameters={"user": "AIDA"}, before={"status": "Active"},
    after={"status": "Inactive"}, reversible=True, order=30, takes=("aws:111122223333:access-key/AKIA",), writes=("iam:UpdateAccessKey",),
    looks=("iam:ListAccessKeys",),
)  # fmt: skip


def programme_folder(path: Path) -> Path:
    """Write a programme whose two accountable people, and one who is not, have keys."""
    scaffold.init(path)
    signers = KEYS["maria"].line("business-owner") + KEYS["dev"].line("technical-owner") + KEYS["ben"].line("duty-manager")
    (path / "register" / "allowed_signers").write_text(signers)
    return path


def planned(home: Path, *notes: Noted, **changes: Any) -> Plan:
    """Put a plan on file, as if it had been made an hour ago."""
    programme = load(home)
    made = datetime.now(UTC).replace(microsecond=0) - HOUR
    phase = changes.get("phase", "disable")
    plan = Plan(
        id=f"example-partner-{phase}", customer=programme.customer, asked=Asked(partner="example-partner", phase=phase), made_at=made,
        register=programme.register.digest, steps=(replace(CHANGE, phase=phase),), left=(), undecided=(), unread=(), holdings=(), noted=notes,
        approvers=may_approve(programme.register, "contract-ended", "countersign"), needed=2 if phase == "delete" else 1,
    )  # fmt: skip
    folder.keep(programme, plan, clock=lambda: datetime.now(UTC))
    return plan
