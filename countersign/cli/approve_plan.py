"""`countersign approve`: somebody accountable reads what a plan would do, and signs for it, or declines."""

import os
import sys
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.errors import CountersignError
from countersign.results import EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from countersign.approval import Statement
    from countersign.approval.proofs import Decision, Proof
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme

_MOST = 1_000_000
"""Bytes of a statement or signature that is read."""


def approve(  # noqa: PLR0913 - one parameter for each option
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Its id, or the path of its folder.")],
    *,
    person: Annotated[
        str | None, typer.Option("--as", metavar="PERSON", help="Who decides: the id of a person of yours in the register.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sign with this SSH key (ssh-keygen asks for its passphrase, or for a touch).")
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Take this signature, made with ssh-keygen of what --statement prints, which lies beside it."),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, in your words; it is signed too.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="DAY", help="Last day on which it may be used, within 7 days; the plan's last day otherwise.")
    ] = None,
    decline: Annotated[bool, typer.Option("--decline", help="Stop the plan instead, for good; one person is enough.")] = False,
    statement: Annotated[
        bool, typer.Option("--statement", help="Print what is to be signed, byte for byte, and write nothing; always JSON.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Show what a plan would do and who has to approve it; with --as and --key (or --signature), approve it or decline.

    What would not count is refused before it is signed: of somebody who is not accountable, who asked for the plan, or who decided already.
    Exit code 0: it was shown, or it counts; 2: it was refused, and nothing was written.
    """
    from countersign.cli.offboard_show import shown
    from countersign.offboarding import folder
    from countersign.programme import load

    loaded = load(programme)
    found = folder.find(loaded, plan)
    at = datetime.now(UTC)
    _demand_options(person, key, signature, reason=reason, expires=expires, decline=decline, statement=statement)
    if person is None:
        decision = _decision(loaded, found, (), at)
        if as_json:
            _document(found, decision)
        else:
            shown(found)
            _say_next(found, decision, programme)
        return EXIT_FINE
    said = _given(signature) if signature is not None else _statement(loaded, found, person, reason, expires, at=at, decline=decline)
    _demand_counts(loaded, found, said, person, at)
    if statement:
        _print(found, said, as_json=as_json)
        return EXIT_FINE
    if not as_json and signature is None:
        shown(found)
    name, decision = _decide(loaded, found, said, key, signature)
    arrived(loaded, found)
    if as_json:
        _document(found, decision, name, said)
    else:
        show.out(show.text(f"Plan {found.id} is {'declined' if decline or said.decision == 'decline' else 'approved'} by {said.approver}."))
        _say_next(found, decision, programme)
    return EXIT_FINE


def arrived(programme: "Programme", plan: "Plan") -> None:
    """Tell whoever waits for the plan's approval that one more is on file: the partner's time, and a flow run that is suspended, go on."""
    from countersign.offboarding import waiting
    from countersign.offboarding.process import look

    try:
        look(programme, plan, datetime.now(UTC))
    except CountersignError as error:
        show.say(show.text(f"The clocks learn of it from the next night only: {error.message}"))
    run = waiting.run_of(programme, plan.id)
    if run is None or not os.environ.get("PREFECT_API_URL"):
        return
    from flows.approval_watch import wake

    try:
        wake(run)
    except Exception as error:  # noqa: BLE001 - whatever ails Prefect, the approval is on file, and `approval-watch` finds it
        show.say(show.text(f"The flow run that waits for it was not woken ({type(error).__name__}); the deployment approval-watch will."))


def _demand_options(  # noqa: PLR0913 - the options
    person: str | None,
    key: Path | None,
    signature: Path | None,
    *,
    reason: str | None,
    expires: str | None,
    decline: bool,
    statement: bool,
) -> None:
    signs = key is not None or signature is not None or statement
    if person is None and (signs or decline or reason is not None or expires is not None):
        raise UsageError("it is not said who decides", fix="add --as PERSON")
    if person is not None and not signs:
        fix = "add --key FILE, or --statement to sign it elsewhere and give the file with --signature"
        raise UsageError("a decision is signed, and there is neither a key nor a signature", fix=fix)
    if sum((key is not None, signature is not None, statement)) > 1:
        raise UsageError("only one of --key, --signature and --statement can be given", fix="leave out the others")
    if signature is not None and (decline or reason is not None or expires is not None):
        raise UsageError("what was signed cannot be changed any more", fix="leave out --reason, --expires and --decline, or sign it anew")


def _statement(  # noqa: PLR0913 - what is said by whom, and when
    programme: "Programme", plan: "Plan", person: str, reason: str | None, expires: str | None, *, at: datetime, decline: bool
) -> "Statement":
    from countersign.approval import LONGEST, Statement

    try:
        until = min(plan.expires, at + LONGEST) if expires is None else date.fromisoformat(expires)
    except ValueError:
        raise UsageError(f"{expires!r} is not a day", fix="write it as 2026-12-01") from None
    return Statement(
        customer=programme.customer,
        subject=plan.subject(),
        digest=plan.digest(),
        approver=person,
        issued=at,
        expires=until,
        reason=reason,
        decision="decline" if decline else "approve",
    )


def _given(signature: Path) -> "Statement":
    """Read the statement that a signature is over, which ssh-keygen left beside it."""
    from countersign.approval import read_statement

    if signature.suffix != ".sig":
        raise UsageError(f"{signature} is not named as ssh-keygen names a signature", fix="name FILE.sig, and keep FILE beside it")
    return read_statement(_bytes(signature.with_suffix(""), "keep what you signed beside its signature, as ssh-keygen leaves it"))


def _demand_counts(programme: "Programme", plan: "Plan", said: "Statement", person: str, at: datetime) -> None:
    """Refuse a decision that would not count, whoever signs it."""
    from countersign.offboarding.approvals import facts
    from countersign.offboarding.broken_glass import debts
    from countersign.offboarding.deciding import check_able
    from countersign.offboarding.journal import Journal
    from countersign.register.approvals import objection
    from countersign.state import State

    if said.approver != person:
        raise UsageError(f"it was signed in the name of {said.approver!r}", fix=f"sign what --statement prints with --as {person}")
    against = objection(facts(plan), said, programme.register, at=at)
    if against is None and programme.register.allowed_signers is None:
        against = "there is no register/allowed_signers, which says whose key is whose"
    if against is None and said.decision == "approve" and person not in plan.approvers:
        against = f"{person} became accountable after it was made"
    if against is not None:
        raise UsageError(f"plan {plan.id} cannot be decided like this: {against}", fix=_who(plan))
    decision = _decision(programme, plan, (), at)
    if decision.declined:
        raise UsageError(f"plan {plan.id} was declined by {', '.join(decision.declined)}", fix="make a new plan")
    if said.decision == "approve" and said.approver in decision.approvers:
        raise UsageError(f"{said.approver} approved plan {plan.id} already", fix=_who(plan))
    if said.decision == "approve" and not any(owed.plan == plan.id for owed in debts(programme)):
        with State(programme.state) as state:
            held = Journal(state.engine).state(plan.id)
        check_able(plan, held or ("planned", None), at)


def _decide(programme: "Programme", plan: "Plan", said: "Statement", key: Path | None, signature: Path | None) -> "tuple[str, Decision]":
    """Sign or take the signature, see that it counts, and put both beside the plan; gives its name and what is decided with it."""
    from countersign import approval
    from countersign.approval.proofs import SignatureProof

    message = said.message()
    if key is not None:
        text = approval.sign(message, key)
    else:
        assert signature is not None
        text = _bytes(signature, "name the .sig file that ssh-keygen wrote").decode(errors="replace")
    proof = SignatureProof(name="this signature", statement=message, signature=text)
    decision = _decision(programme, plan, (proof,), datetime.now(UTC))
    if said.approver not in (*decision.approvers, *decision.declined):
        why = next((each for each in decision.refused if each.startswith(proof.name)), "it does not count")
        raise UsageError(f"plan {plan.id}: {why}", fix=f"sign with a key that register/allowed_signers says is {said.approver}'s")
    return _write(programme, plan, said.approver, message, text), decision


def _decision(programme: "Programme", plan: "Plan", more: "Sequence[Proof]", at: datetime) -> "Decision":
    from countersign.offboarding.process import decision

    return decision(programme, plan, at, more)


def _write(programme: "Programme", plan: "Plan", person: str, message: bytes, signature: str) -> str:
    """Write both files under a name that is free; gives it. The signature comes first: without it a statement is no approval."""
    from countersign.offboarding.folder import APPROVALS, FOLDER

    inside = programme.folder / FOLDER / plan.id / APPROVALS
    try:
        inside.mkdir(mode=0o700, exist_ok=True)
        taken = {path.stem for path in inside.iterdir()}
        name = next(name for name in (f"{person}-{number}" for number in count(1)) if name not in taken)
        _new(inside / f"{name}.sig", signature.encode())
        _new(inside / f"{name}.json", message)
    except OSError as error:
        raise UsageError(f"{inside} cannot be written: {error.strerror}", fix="check its permissions, and try again") from error
    return name


def _new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _bytes(path: Path, fix: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", fix=fix) from error


def _print(plan: "Plan", said: "Statement", *, as_json: bool) -> None:
    if not as_json:
        what = f"{said.approver} {said.decision}s plan {plan.id} ({len(plan.steps)} changes, {plan.asked.partner})"
        show.say(show.text(f"{what}. Sign it with: ssh-keygen -Y sign -n countersign -f KEY FILE"))
    sys.stdout.flush()
    # Whoever looks at it gets a line's end, whoever keeps it in a file does not: it would be signed as well.
    sys.stdout.buffer.write(said.message() + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()


def _say_next(plan: "Plan", decision: "Decision", programme: Path) -> None:
    for each in decision.refused:
        show.out(show.text(f"  {each}"))
    if decision.declined:
        show.out(show.text("It is stopped for good. What is still to be done needs a new plan."))
    elif decision.holds:
        folder = "" if programme == HERE else f" -p {show.path(programme)}"
        who = " and ".join(decision.approvers)
        show.out(show.text(f"It is approved by {who}. Next: {show.program()} offboard apply {plan.id}{folder}"))


def _document(plan: "Plan", decision: "Decision", name: str | None = None, said: "Statement | None" = None) -> None:
    show.document({
        "plan": plan.id, "partner": plan.asked.partner, "phase": plan.asked.phase, "digest": plan.digest(), "changes": len(plan.steps),
        "final": sum(not step.reversible for step in plan.steps), "expires": plan.expires, "needed": decision.needed,
        "may_approve": plan.approvers, "approved": decision.holds, "approved_by": decision.approvers, "declined_by": decision.declined,
        "refused": decision.refused, "written": name, "decision": None if said is None else said.decision,
    })  # fmt: skip


def _who(plan: "Plan") -> str:
    return f"the plan may be approved by: {', '.join(plan.approvers) or 'nobody yet'}"
