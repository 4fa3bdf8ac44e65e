"""`countersign exception approve` and `statement`: somebody accountable accepts a finding until a day, and signs for it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import show
from countersign.cli.exception import DryRun, Name, find, path_of
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_FINE

if TYPE_CHECKING:
    from datetime import date

    from countersign.register.records import Register, RegisteredException
    from countersign.register.rules import Fault

As = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who approves: the id of a person of yours in the register.")]
WAITS = 7
"""Days that may pass between a signature made elsewhere and its way into the register."""


def approve(  # noqa: PLR0913 - one parameter for each option
    exception: Name,
    *,
    person: As,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sign with this SSH key (ssh-keygen asks for its passphrase, or for a touch).")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Take this signature, made with ssh-keygen at most 7 days ago, of the statement.")
    ] = None,
    dry_run: DryRun = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Approve an exception that was requested, in the name of somebody accountable for its control, who did not request it.

    Where the register has `allowed_signers`, the approval must be signed by that person's key; the signature is kept beside the
    exception. Exit code 0: it is approved; 2: it was refused, and nothing was changed.
    """
    from countersign.programme import load

    loaded = load(programme)
    register = loaded.register
    today = register.today(datetime.now(UTC))
    entry = find(register, exception)
    _demand_approvable(register, entry, person, today)
    if key is not None and signature is not None:
        raise UsageError("a key and a signature were given", fix="leave out one or the other")
    if register.allowed_signers is not None and key is None and signature is None and not dry_run:
        told = f"countersign exception statement {entry.exception} --as {person}"
        raise UsageError("the register has allowed_signers, so an approval is signed", fix=f"add --key FILE, or sign what `{told}` prints")
    approved, signed = _signed(register, entry, person, today, None if dry_run else key, signature)
    if signed is not None:
        held = register.model_copy(update={"signatures": {**register.signatures, str(approved.approval): signed}})
        _refuse(held, approved, today)
    path = path_of(loaded, entry)
    if not dry_run:
        _write(path, approved, signed)
    notes = _notes(register, signed=signed is not None)
    if as_json:
        beside = None if approved.approval is None else path.with_name(approved.approval)
        show.document({
            "exception": entry.exception, "file": path, "approved_by": person, "approved_on": str(approved.approved_on),
            "expires": str(entry.expires), "signature": beside, "notes": notes, "dry_run": dry_run,
        })  # fmt: skip
    else:
        done = "would be approved" if dry_run else "is approved"
        show.out(show.text(f"{'Dry run: ' if dry_run else ''}{entry.exception} {done} by {person} until {entry.expires}."))
        for note in notes:
            show.say(note)
    return EXIT_FINE


def statement(
    exception: Name,
    *,
    person: Annotated[
        str | None, typer.Option("--as", metavar="PERSON", help="Who will sign it, today; else what was signed when it was approved.")
    ] = None,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Print what an approver signs, byte for byte and without a line's end, and on standard error what it is about; always JSON.

    Sign it with `ssh-keygen -Y sign -n countersign -f KEY FILE`, and give FILE.sig to `countersign exception approve --signature`.
    """
    import sys

    from countersign.programme import load
    from countersign.register.exceptions import statement as to_sign

    register = load(programme).register
    entry = find(register, exception)
    today = register.today(datetime.now(UTC))
    who, on = (person, today) if person is not None else (entry.approved_by, entry.approved_on)
    if who is None or on is None:
        raise UsageError(f"{entry.exception} says not who approved it when, so nothing was signed", fix="name who will sign it with --as")
    if person is not None:
        _demand_approvable(register, entry, person, today)
    if not as_json:
        about = {name: getattr(entry, name) for name in ("control", "subject", "reason", "compensating_control", "exit_criteria")}
        show.say(show.text(f"{entry.exception}, requested by {entry.requested_by}, to hold until {entry.expires}:"))
        show.say(*(show.text(f"  {name.replace('_', ' ')}: {value}") for name, value in about.items()))
    sys.stdout.flush()
    # Whoever looks at it gets a line's end, whoever keeps it in a file does not: it would be signed as well.
    sys.stdout.buffer.write(to_sign(register, entry, who, on).message() + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
    return EXIT_FINE


def _demand_approvable(register: "Register", entry: "RegisteredException", person: str, today: "date") -> None:
    """Refuse what this person cannot approve today, whatever they sign."""
    from countersign.register.exceptions import standing

    now = standing(register, entry, today)
    if now.state == "approved":
        raise UsageError(f"{entry.exception} was approved by {entry.approved_by} already")
    if now.state == "ended":
        said = str(now.why).partition(": ")[2]
        raise UsageError(f"{entry.exception} is over: {said}", fix=f"ask for it anew: countersign exception renew {entry.exception}")
    candidate = entry.model_copy(update={"approved_by": person, "approved_on": today, "approval": None})
    _refuse(register.model_copy(update={"allowed_signers": None}), candidate, today)


def _refuse(register: "Register", candidate: "RegisteredException", today: "date") -> None:
    from countersign.register.exceptions import faults

    others = {**register.exceptions, candidate.exception: candidate}
    broken: tuple[Fault, ...] = tuple(faults(register.model_copy(update={"exceptions": others}), candidate, today))
    if broken:
        said = "; ".join(f"{fault.field}: {fault.message}" for fault in broken)
        raise UsageError(f"{candidate.exception} cannot be approved like this: {said}", fix=broken[0].fix)


def _signed(  # noqa: PLR0913, PLR0917 - who signs what, when, and how
    register: "Register", entry: "RegisteredException", person: str, today: "date", key: Path | None, signature: Path | None
) -> "tuple[RegisteredException, str | None]":
    """Return the exception as approved, and the signature's text; None: it is not signed."""
    from countersign import approval
    from countersign.register.exceptions import statement as to_sign

    approved = entry.model_copy(update={"approved_by": person, "approved_on": today})
    if key is None and signature is None:
        return approved, None
    named = approved.model_copy(update={"approval": f"{entry.exception}.sig"})
    if key is not None:
        return named, approval.sign(to_sign(register, entry, person, today).message(), key)
    assert signature is not None
    text = _text(signature)
    for on in (today - timedelta(days=back) for back in range(WAITS + 1)):
        if approval.is_over(text, to_sign(register, entry, person, on).message()):
            return named.model_copy(update={"approved_on": on}), text
    told = f"countersign exception statement {entry.exception} --as {person}"
    raise UsageError(f"{signature} is no signature of this approval made in the last {WAITS} days", fix=f"sign what `{told}` prints")


def _notes(register: "Register", *, signed: bool) -> list[str]:
    if register.allowed_signers is not None:
        return []
    if signed:
        return ["Nobody can check the signature until register/allowed_signers says whose key is whose."]
    return ["It holds by the name alone: whoever may change the register can write it. With register/allowed_signers it has to be signed."]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", fix="name the .sig file that ssh-keygen wrote") from error


def _write(path: Path, approved: "RegisteredException", signed: str | None) -> None:
    from countersign.register import exception_file

    fields = {"approved_by": approved.approved_by, "approved_on": str(approved.approved_on)}
    if signed is not None:
        fields["approval"] = approved.approval
    text = exception_file.changed(exception_file.read(path), fields, approved)
    if signed is not None:
        # First: an approval that names a signature which is not there yet would be a broken one.
        exception_file.replace(path.with_name(str(approved.approval)), signed)
    exception_file.replace(path, text)
