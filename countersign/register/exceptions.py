"""Whether an exception holds: approved by the customer's accountable owner, unexpired, renewed no more often than allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.document import meant, shown
from countersign.register.rules import Fault, customer_person, known_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from countersign.register.records import Control, Register, RegisteredException


def exception_valid(register: Register, exception: RegisteredException, at: datetime) -> str | None:
    """Return None when an exception holds at an instant, else the reason why it does not.

    It holds until the end of the day `expires` in the customer's time zone.
    """
    fault = next(faults(register, exception, register.today(at)), None)
    return None if fault is None else f"{fault.field}: {fault.message}"


def faults(register: Register, exception: RegisteredException, today: date) -> Iterator[Fault]:
    """Yield every broken rule of one exception on a day of the customer's calendar."""
    control = register.control(exception.control)
    if control is None:
        close = meant(exception.control, register.controls)
        fix = "name a control that has a file in controls/" if close is None else f"did you mean `{close}`?"
        yield Fault("exception-control", "control", f"no control called {shown(exception.control)} is registered", fix)
    yield from _approver(register, exception, control)
    if exception.requested_by is None:
        yield Fault("exception-requester", "requested_by", "it is not said who requested the exception", "add `requested_by:`")
    else:
        yield from known_name(register, "requested_by", exception.requested_by)
    if exception.expires < today:
        fix = "close the finding and delete the exception, or have a new one approved"
        yield Fault("exception-expired", "expires", f"the exception expired on {exception.expires}", fix)
    for field, rule, missing in (
        ("reason", "exception-reason", "it is not said why the exception is needed"),
        ("compensating_control", "exception-compensating-control", "it is not said what protects in the meantime"),
        ("exit_criteria", "exception-exit-criteria", "it is not said what must happen for the exception to end"),
    ):
        if getattr(exception, field) is None:
            yield Fault(rule, field, missing, f"add `{field}:` in a few words")


def _approver(register: Register, exception: RegisteredException, control: Control | None) -> Iterator[Fault]:
    rule, field, approver = "exception-approver", "approved_by", exception.approved_by
    faults = tuple(customer_person(register, rule, field, approver, "the approver"))
    if faults or approver is None:
        yield from faults
    elif approver == exception.requested_by:
        message = f"{shown(approver)} approved an exception that they requested"
        yield Fault(rule, field, message, "have another accountable person approve it")
    elif control is not None and approver not in (accountable := _accountable(control)):
        named = ", ".join(sorted(accountable)) or "nobody yet"
        message = f"{shown(approver)} is not accountable for {exception.control}"
        yield Fault(rule, field, message, f"have it approved by somebody who is: {named}")


def _accountable(control: Control) -> set[str]:
    steps = (control.raci.provision, control.raci.rotate, control.raci.review, control.raci.revoke)
    named = {control.answers.approves, *(step.A for step in steps if step is not None)}
    return {ref for ref in named if ref is not None}
