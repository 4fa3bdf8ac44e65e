"""Whether an exception holds: asked for by one, approved and signed by an accountable other, and neither over nor too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from countersign.approval import Statement, digest, refusal
from countersign.document import meant, shown
from countersign.register.rules import Fault, customer_person, known_name, side, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from countersign.register.records import Control, Register, RegisteredException

SIGNED = ("exception", "control", "subject", "reason", "compensating_control", "exit_criteria", "requested_by", "expires", "renews")
"""What an approver signs for; who approved and when is in the statement itself."""

State = Literal["requested", "approved", "ended", "invalid"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an exception stands on a day."""

    state: State
    why: str | None
    """Why it excepts nothing; None: it holds."""


def exception_valid(register: Register, exception: RegisteredException, at: datetime) -> str | None:
    """Return None when an exception holds at an instant, else the reason why it does not.

    It holds until the end of the day `expires` in the customer's time zone.
    """
    return standing(register, exception, register.today(at)).why


def standing(register: Register, exception: RegisteredException, today: date) -> Standing:
    """Say how an exception stands on a day of the customer's calendar."""
    if _put_to_rest(exception, today):
        return Standing("ended", f"ended_on: the exception was ended on {exception.ended_on}")
    if exception.expires < today:
        return Standing("ended", f"expires: {_expired(exception)}")
    fault = next(faults(register, exception, today), None)
    if fault is not None:
        return Standing("invalid", f"{fault.field}: {fault.message}")
    if exception.approved_by is None:
        return Standing("requested", "approved_by: nobody has approved it yet")
    return Standing("approved", None)


def faults(register: Register, exception: RegisteredException, today: date) -> Iterator[Fault]:
    """Yield every broken rule of one exception on a day of the customer's calendar.

    One that is only requested excepts nothing and breaks nothing. Of one that is over, only that nobody put it to rest is a fault, and
    not that either where another renews it: how it was approved matters no more.
    """
    requested = all(value is None for value in (exception.approved_by, exception.approved_on, exception.approval))
    if requested or _put_to_rest(exception, today):
        return
    if exception.expires < today:
        if not any(other.renews == exception.exception and other.approved_by is not None for other in register.exceptions.values()):
            fix = f"put it right and run `countersign exception end {exception.exception}`, or renew it"
            yield Fault("exception-expired", "expires", _expired(exception), fix)
        return
    yield from _content(register, exception)
    yield from _approver(register, exception)
    yield from _span(register, exception, today)
    yield from _renewal(register, exception)
    yield from _signature(register, exception, today)


def accountable(register: Register, control: str) -> tuple[str, ...]:
    """Return the ids of those who may accept findings of a control, active or not: who approves, and who is accountable for a step."""
    entry = register.control(control)
    return () if entry is None else tuple(sorted(_accountable(entry)))


def approvers(register: Register, exception: RegisteredException, today: date) -> tuple[tuple[str, ...], tuple[Fault, ...]]:
    """Return who could approve an exception today, and where nobody could, what stands in the way.

    Signatures are left aside: they come with the approval.
    """
    unsigned = register.model_copy(update={"allowed_signers": None})
    named = accountable(register, exception.control)
    found: list[str] = []
    obstacles: dict[Fault, None] = {}
    for ref in named:
        approved = exception.model_copy(update={"approved_by": ref, "approved_on": today})
        broken = tuple(faults(unsigned, approved, today))
        obstacles |= dict.fromkeys(broken)
        if not broken:
            found.append(ref)
    if not named:
        control = register.control(exception.control)
        fix = "add it to register/controls/, or a `default` entry" if control is None else "name who approves in its entry"
        obstacles[Fault("exception-control", "control", f"nobody is accountable for {shown(exception.control)}", fix)] = None
    return tuple(found), () if found else tuple(obstacles)


def statement(register: Register, exception: RegisteredException, approver: str, on: date) -> Statement:
    """Return what somebody signs to approve an exception on a day of the customer's calendar."""
    content = {name: None if (value := getattr(exception, name)) is None else str(value) for name in SIGNED}
    return Statement(
        customer=register.customer.id,
        subject=f"exception/{exception.exception}",
        digest=digest(content),
        approver=approver,
        issued=on,
        expires=exception.expires,
    )


def renewals(register: Register, exception: RegisteredException) -> tuple[str, ...]:
    """Return the ids that an exception prolongs, the nearest first, as far as they are known; a ring is followed once."""
    found: list[str] = []
    earlier = exception.renews
    while earlier is not None and earlier not in found:
        found.append(earlier)
        entry = register.exceptions.get(earlier)
        earlier = None if entry is None else entry.renews
    return tuple(found)


def notes(register: Register, exception: RegisteredException, today: date) -> Iterator[Fault]:
    """Yield what is worth knowing about an exception and breaks no rule."""
    if register.allowed_signers is None and exception.approval is not None and standing(register, exception, today).state == "approved":
        message = "its signature cannot be checked, since there is no register/allowed_signers; it holds by the name alone"
        yield Fault("exception-signature", "approval", message, "list whose key is whose in register/allowed_signers")


def _put_to_rest(exception: RegisteredException, today: date) -> bool:
    return exception.ended_on is not None and exception.ended_on <= today


def _expired(exception: RegisteredException) -> str:
    return f"the exception expired on {exception.expires}"


def _content(register: Register, exception: RegisteredException) -> Iterator[Fault]:
    if register.control(exception.control) is None:
        close = meant(exception.control, register.controls)
        fix = "name a control that has a file in controls/" if close is None else f"did you mean `{close}`?"
        yield Fault("exception-control", "control", f"no control called {shown(exception.control)} is registered", fix)
    if exception.requested_by is None:
        yield Fault("exception-requester", "requested_by", "it is not said who requested the exception", "add `requested_by:`")
    else:
        yield from known_name(register, "requested_by", exception.requested_by)
    for field, rule, missing in (
        ("reason", "exception-reason", "it is not said why the exception is needed"),
        ("compensating_control", "exception-compensating-control", "it is not said what protects in the meantime"),
        ("exit_criteria", "exception-exit-criteria", "it is not said what must happen for the exception to end"),
    ):
        if getattr(exception, field) is None:
            yield Fault(rule, field, missing, f"add `{field}:` in a few words")


def _approver(register: Register, exception: RegisteredException) -> Iterator[Fault]:
    rule, field, approver = "exception-approver", "approved_by", exception.approved_by
    faults = tuple(customer_person(register, rule, field, approver, "the approver"))
    control = register.control(exception.control)
    partner = side(register, approver)
    if faults or approver is None:
        yield from faults
    elif partner is not None:
        message = f"the approver, {shown(approver)}, has a mailbox of partner {shown(partner)}, and must be the customer's"
        yield Fault(rule, field, message, "have it approved by somebody who is the customer's")
    elif exception.requested_by is not None and same_person(register, approver, exception.requested_by):
        asked = "they" if approver == exception.requested_by else f"they, as {shown(exception.requested_by)},"
        message = f"{shown(approver)} approved an exception that {asked} requested"
        yield Fault(rule, field, message, "have another accountable person approve it")
    elif control is not None and approver not in (named := _accountable(control)):
        message = f"{shown(approver)} is not accountable for {exception.control}"
        yield Fault(rule, field, message, f"have it approved by somebody who is: {', '.join(sorted(named)) or 'nobody yet'}")


def same_person(register: Register, approver: str, requester: str) -> bool:
    """Whether two names are one person's: the same id, also as a partner's person, or one mailbox."""
    name = requester.rpartition("/")[2]
    if approver == name:
        return True
    person = register.people.get(name)
    asked = register.teams.get(requester) if person is None else person.email
    given = register.people[approver].email
    return asked is not None and given is not None and asked.strip().casefold() == given.strip().casefold()


def _span(register: Register, exception: RegisteredException, today: date) -> Iterator[Fault]:
    approved, longest = exception.approved_on, register.exception_limits.max_span
    if approved is None:
        if longest is not None or register.allowed_signers is not None:
            message = "it is not said on which day it was approved"
            yield Fault("exception-approved-on", "approved_on", message, "add `approved_on:` with the day")
    elif approved > today:
        message = f"it was approved on a day that is still to come, {approved}"
        yield Fault("exception-approved-on", "approved_on", message, "write the day on which it was approved")
    elif longest is not None and exception.expires - approved > longest:
        message = f"it lasts {(exception.expires - approved).days} days from its approval, and {longest.days} days are allowed"
        yield Fault("exception-span", "expires", message, f"let it expire by {approved + longest} and have that approved, or end it")


def _renewal(register: Register, exception: RegisteredException) -> Iterator[Fault]:
    rule, field = "exception-renewal", "renews"
    earlier = None if exception.renews is None else register.exceptions.get(exception.renews)
    chain = renewals(register, exception)
    most = register.exception_limits.max_renewals
    if exception.renews is not None and earlier is None:
        found = unknown_name(field, "exception", exception.renews, register.exceptions)
        yield Fault(rule, field, found.message, "name the exception that it renews; keep those that are over")
    elif exception.exception in chain:
        yield Fault(rule, field, "it renews itself, by way of others", "name the exception before it, or leave `renews` out")
    elif earlier is not None and (earlier.control, earlier.subject) != (exception.control, exception.subject):
        message = f"{shown(earlier.exception)}, which it renews, is from another control or for another subject"
        yield Fault(rule, field, message, "request an exception of its own instead")
    elif len(chain) > most:
        times = "once" if most == 1 else f"{most} times"
        message = f"it is renewal {len(chain)} of {shown(chain[-1])}, which may be renewed {times if most else 'never'}"
        yield Fault(rule, field, message, "put the finding right, and end the exception")
    elif (unnamed := _unnamed(register, exception, chain)) is not None:
        message = f"{shown(unnamed)} is from the same control for the same subject, and it is not said that this one renews it"
        yield Fault(rule, field, message, f"add `renews: {unnamed}`, so that renewals are counted")


def _unnamed(register: Register, exception: RegisteredException, chain: tuple[str, ...]) -> str | None:
    """Return an approved exception that this one should renew, since it came before: else a fresh number would begin the count anew."""

    def order(entry: RegisteredException) -> tuple[date, str]:
        return (entry.expires, entry.exception)

    earlier = [
        other
        for other in register.exceptions.values()
        if other.subject == exception.subject
        and other.control == exception.control
        and other.approved_by is not None
        and other.exception not in chain
        and order(other) < order(exception)
        and exception.exception not in renewals(register, other)
    ]
    return max(earlier, key=order).exception if earlier else None


def _signature(register: Register, exception: RegisteredException, today: date) -> Iterator[Fault]:
    if register.allowed_signers is None or exception.approved_by is None or exception.approved_on is None:
        return
    rule, field = "exception-signature", "approval"
    fix = f"countersign exception approve {exception.exception} --as {exception.approved_by} --key FILE"
    if exception.approval is None:
        yield Fault(rule, field, "the approval is not signed", fix)
        return
    signature = register.signatures.get(exception.approval)
    if signature is None:
        yield Fault(rule, field, f"there is no signature {shown(exception.approval)} beside it", fix)
        return
    refused = refusal(
        statement(register, exception, exception.approved_by, exception.approved_on),
        signature,
        allowed_signers=register.allowed_signers,
        people=register.people,
        zone=register.customer.timezone,
        # By days, like all else in the register: a key whose time ends during this day does not count on it any more.
        at=register.end_of(today) - timedelta(microseconds=1),
        longest=None,
    )
    if refused is not None:
        yield Fault(rule, field, f"the approval by {shown(exception.approved_by)} does not hold: {refused}", fix)


def _accountable(control: Control) -> set[str]:
    steps = (control.raci.provision, control.raci.rotate, control.raci.review, control.raci.revoke)
    named = {control.answers.approves, *(step.A for step in steps if step is not None)}
    return {ref for ref in named if ref is not None}
