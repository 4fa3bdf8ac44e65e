"""Whether somebody answers for a control: three live owners, one accountable person a step, four answers, a fallback, service levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.document import meant, shown
from countersign.register.records import DEFAULT_CONTROL, STEPS
from countersign.register.rules import Fault, able, absent, customer_person, known_name, side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import date

    from countersign.register.records import Control, Register, Step

RULES = {
    "unknown-control": "A control in the register is one that is judged.",
    "owner-business": "Every control has an active customer person as business owner.",
    "owner-technical": "Every control has an active customer person as technical owner.",
    "owner-operational": "Every control has an operational owner: an active customer person or a person of a partner whose contract runs.",
    "fallback": "Every control has an active customer person as fallback.",
    "raci-step": "Every control says who does what in all four life-cycle steps.",
    "raci-responsible": "Every life-cycle step has somebody who can do it: no leaver, and no partner whose contract is over.",
    "raci-accountable": "Every life-cycle step has exactly one accountable person, who is an active customer person.",
    "answer-approves": "Every control says which active customer person approves.",
    "answer-implements": "Every control says who implements: no leaver, and no partner whose contract is over.",
    "answer-monitors": "Every control says who monitors, and one of them can.",
    "answer-revokes": "Every control says which active customer person revokes.",
    "partner-approves-own-work": "No partner approves what it implements.",
    "partner-monitors-own-work": "No partner alone monitors what it implements.",
    "slas": "Every control has service levels for detecting, escalating, rotating and revoking.",
}


def faults(register: Register, control: Control, known: Collection[str] | None, today: date) -> Iterator[Fault]:
    """Yield every broken rule of one control; `known`: ids of the controls that are judged, None: not checked."""
    if known is not None and control.control not in known and control.control != DEFAULT_CONTROL:
        close = meant(control.control, known)
        fix = "see `countersign findings` or docs/controls.md for the ids" if close is None else f"did you mean `{close}`?"
        yield Fault("unknown-control", "control", f"no control called {shown(control.control)} is judged", fix)
    owners = control.owners
    yield from customer_person(register, "owner-business", "owners.business", owners.business, "the business owner")
    yield from customer_person(register, "owner-technical", "owners.technical", owners.technical, "the technical owner")
    yield from _operational(register, owners.operational, today)
    yield from _answers(register, control, today)
    for name in STEPS:
        step: Step | None = getattr(control.raci, name)
        if step is None:
            fix = f"add `{name}: {{R: ..., A: ..., C: [], I: []}}`"
            yield Fault("raci-step", f"raci.{name}", f"the life-cycle step {name} is missing", fix)
        else:
            yield from _step(register, f"raci.{name}", step, today)
    yield from customer_person(register, "fallback", "fallback", control.fallback, "the fallback")
    for name in ("detect", "escalate", "rotate", "revoke"):
        if getattr(control.slas, name) is None:
            yield Fault("slas", f"slas.{name}", f"there is no service level to {name}", f"add `{name}:` with a duration, such as PT24H")


def _operational(register: Register, ref: str | None, today: date) -> Iterator[Fault]:
    rule, field = "owner-operational", "owners.operational"
    if ref is None:
        yield Fault(rule, field, "there is no operational owner", "name a customer person or a partner's (acme/pavel)")
    elif "/" in ref:
        yield from able(register, rule, field, ref, today)
    else:
        yield from customer_person(register, rule, field, ref, "the operational owner")


def _answers(register: Register, control: Control, today: date) -> Iterator[Fault]:
    answers = control.answers
    makers = _makers(register, control)
    approver = side(register, answers.approves)
    if approver in makers:
        message = f"partner {shown(str(approver))} implements the control and approves it"
        yield Fault("partner-approves-own-work", "answers.approves", message, "let a customer person approve")
    else:
        yield from customer_person(register, "answer-approves", "answers.approves", answers.approves, "who approves")
    if answers.implements is None:
        yield Fault("answer-implements", "answers.implements", "nobody is said to implement the control", "name a partner, person or team")
    else:
        yield from able(register, "answer-implements", "answers.implements", answers.implements, today)
    yield from _monitors(register, answers.monitors, makers, today)
    yield from customer_person(register, "answer-revokes", "answers.revokes", answers.revokes, "who revokes")


def _makers(register: Register, control: Control) -> set[str]:
    """Return the partners that implement a control, by its answer or as the one responsible for a step that makes something."""
    steps = (control.raci.provision, control.raci.rotate)
    named = (control.answers.implements, *(step.R for step in steps if step is not None))
    return {partner for ref in named if (partner := side(register, ref)) is not None}


def _monitors(register: Register, refs: tuple[str, ...], makers: set[str], today: date) -> Iterator[Fault]:
    field = "answers.monitors"
    unknown = [fault for ref in refs for fault in known_name(register, field, ref)]
    yield from unknown
    watching = [ref for ref in refs if not any(known_name(register, field, ref)) and absent(register, ref, today) is None]
    if not refs:
        yield Fault("answer-monitors", field, "nobody is said to monitor the control", "name a person, partner or team")
    elif not watching and not unknown:
        why = "; ".join(str(absent(register, ref, today)) for ref in refs)
        yield Fault("answer-monitors", field, f"nobody who is said to monitor the control can: {why}", "name somebody who can")
    elif watching and len(sides := {side(register, ref) for ref in watching}) == 1 and (only := sides.pop()) in makers:
        message = f"partner {shown(str(only))} implements the control and alone monitors it"
        yield Fault("partner-monitors-own-work", field, message, "let the customer or another partner monitor as well")


def _step(register: Register, field: str, step: Step, today: date) -> Iterator[Fault]:
    if step.R is None:
        yield Fault("raci-responsible", f"{field}.R", "nobody is responsible for this step", "add `R:` with a person, partner or team")
    else:
        yield from able(register, "raci-responsible", f"{field}.R", step.R, today)
    yield from customer_person(register, "raci-accountable", f"{field}.A", step.A, "the accountable person")
    for letter, refs in (("C", step.C), ("I", step.I)):
        for ref in refs:
            yield from known_name(register, f"{field}.{letter}", ref)
