"""`countersign exception`: ask that a finding be accepted for a time, prolong or end that, and list who accepted what until when."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.programme import Programme
    from countersign.register.records import Register, RegisteredException

Name = Annotated[str, typer.Argument(metavar="EXCEPTION", help="Its id, such as EX-0012, or EX-12.")]
Expires = Annotated[str, typer.Option(metavar="DAY", help="Last day it is to hold, such as 2026-12-01.")]
By = Annotated[str, typer.Option(metavar="WHO", help="Who asks: a person, partner, partner/person or team of the register.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]


def request(  # noqa: PLR0913 - one parameter for each field
    *,
    control: Annotated[str | None, typer.Option(metavar="ID", help="The control, such as rotation-age.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="The subject, as `countersign findings --json` gives it.")] = None,
    finding: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Instead of control and subject: the finding, or how its fingerprint begins.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it cannot be put right by then.")],
    compensating_control: Annotated[str, typer.Option(metavar="TEXT", help="What protects in the meantime.")],
    exit_criteria: Annotated[str, typer.Option(metavar="TEXT", help="What must happen for it to end.")],
    expires: Expires,
    by: By,
    dry_run: DryRun = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask that a finding be accepted until a day: writes a new file, which excepts nothing until somebody accountable approves it.

    What nobody could ever approve is refused. Exit code 0: it was written; 2: it was refused.
    """
    from countersign.programme import load

    loaded = load(programme)
    control, subject = _meant(loaded, control, subject, finding)
    entry = made(
        control=control, subject=subject, reason=reason, compensating_control=compensating_control, exit_criteria=exit_criteria,
        requested_by=by, expires=expires,
    )  # fmt: skip
    same = [other for other in loaded.register.exceptions.values() if (other.control, other.subject) == (control, subject)]
    if same:
        last = max(same, key=lambda other: (other.expires, other.exception)).exception
        raise UsageError(f"{last} is from the same control for the same subject", fix=f"renew it: countersign exception renew {last}")
    return _ask(loaded, entry, dry_run=dry_run, as_json=as_json)


def renew(  # noqa: PLR0913 - one parameter for each field
    exception: Name,
    *,
    expires: Expires,
    by: By,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why it is still needed; else the reason given before.")] = None,
    dry_run: DryRun = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask that an exception be prolonged: a new request that renews it, to be approved like the first, as often as the register allows.

    Exit code 0: it was written; 2: it was refused.
    """
    from countersign.programme import load

    loaded = load(programme)
    register = loaded.register
    old = find(register, exception)
    later = next((other.exception for other in register.exceptions.values() if other.renews == old.exception), None)
    if later is not None:
        raise UsageError(f"{later} renews {old.exception} already", fix=f"renew the last one: countersign exception renew {later}")
    if old.approved_by is None:
        raise UsageError(f"{old.exception} was never approved, so there is nothing to prolong", fix="change its file, or have it approved")
    if date.fromisoformat(_day(expires)) <= old.expires:
        raise UsageError(f"{old.exception} holds until {old.expires} as it is", fix="name a later day with --expires")
    entry = made(
        control=old.control, subject=old.subject, reason=reason or old.reason, compensating_control=old.compensating_control,
        exit_criteria=old.exit_criteria, requested_by=by, expires=expires, renews=old.exception,
    )  # fmt: skip
    return _ask(loaded, entry, dry_run=dry_run, as_json=as_json)


def end(exception: Name, *, dry_run: DryRun = False, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """End an exception today, or put one to rest that has expired: its file stays, with `ended_on`. Nobody has to approve that.

    Exit code 0: it is over; 2: it was over before, or there is no such exception.
    """
    from countersign.programme import load
    from countersign.register import exception_file

    loaded = load(programme)
    entry = find(loaded.register, exception)
    today = loaded.register.today(datetime.now(UTC))
    if entry.ended_on is not None and entry.ended_on <= today:
        raise UsageError(f"{entry.exception} was ended on {entry.ended_on} already")
    path = path_of(loaded, entry)
    text = exception_file.changed(
        exception_file.read(path), {"ended_on": str(today)}, entry.model_copy(update={"ended_on": today})
    )  # fmt: skip
    if not dry_run:
        exception_file.replace(path, text)
    if as_json:
        show.document({"exception": entry.exception, "file": path, "ended_on": str(today), "dry_run": dry_run})
    else:
        show.out(f"{'Dry run: ' if dry_run else ''}{entry.exception} {'would end' if dry_run else 'ends'} today, {today}.")
        if entry.approved_by is not None:
            show.out("What it accepted is open again with the next run, and as old as before, unless it has been put right.")
    return EXIT_FINE


def listed(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """List the exceptions: what each accepts, until when, who approved it, and why one does not hold.

    Exit code 0: there is nothing to do; 1: one waits for its approval, is invalid, or has expired and was neither renewed nor ended.
    """
    from countersign.programme import load

    register = load(programme).register
    rows = [_row(register, entry, register.today(datetime.now(UTC))) for entry in register.exceptions.values()]
    rows.sort(key=lambda row: (not row["act"], row["expires"], row["exception"]))
    if as_json:
        show.document(rows)
    elif not rows:
        show.out("There are no exceptions.")
    else:
        head = ("exception", "state", "until", "days left", "control", "subject", "approved by", "requested by", "renewals", "")
        show.out(show.table(head, map(_cells, rows), numbers=("days left",)))
    return EXIT_ACT if any(row["act"] for row in rows) else EXIT_FINE


def find(register: "Register", name: str) -> "RegisteredException":
    """Return the exception of an id; `EX-12` finds EX-0012. Raises UsageError where there is none."""
    from countersign.document import meant

    head, _, number = name.partition("-")
    long = f"{head}-{int(number):04}" if number.isascii() and number.isdigit() and len(number) < 10 else name  # noqa: PLR2004 - EX-999999999
    found = register.exceptions.get(name) or register.exceptions.get(long)
    if found is None:
        close = meant(name, register.exceptions)
        fix = "countersign exception list" if close is None else f"did you mean {close}? See: countersign exception list"
        raise UsageError(f"there is no exception {name!r}", fix=fix)
    return found


def path_of(programme: "Programme", entry: "RegisteredException") -> Path:
    """Return the file that an exception is written in."""
    return programme.folder / programme.register.where("exception", entry.exception).file


def people(register: "Register", names: "tuple[str, ...]") -> str:
    """Name people as others know them: `maria (Maria Keller)`."""
    return ", ".join(f"{name} ({register.people[name].name})" if name in register.people else name for name in names)


def made(**fields: str | None) -> "RegisteredException":
    """Make an exception that has no number yet. Raises UsageError where a field is not what it must be."""
    from pydantic import ValidationError

    from countersign.register.records import RegisteredException

    # Empty and absent are one, as in the files.
    given = {name: value for name, value in fields.items() if value is not None and value.strip()}
    try:
        return RegisteredException.model_validate({"exception": "EX-0", **given})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        option = f"--{detail['loc'][0]}".replace("_", "-").replace("--requested-by", "--by")
        wrong = "is missing" if detail["type"] == "missing" else detail["msg"]
        raise UsageError(f"{option} {wrong}", fix=detail.get("ctx", {}).get("fix")) from None


def _day(text: str) -> str:
    return str(made(control="x", subject="x", expires=text).expires)


def _meant(programme: "Programme", control: str | None, subject: str | None, finding: str | None) -> tuple[str, str]:
    """Return the control and the subject that were named, or those of the finding that was."""
    import re

    from countersign.cli import on_file
    from countersign.cli.look import check_names
    from countersign.state import State

    if finding is not None:
        if control is not None or subject is not None:
            raise UsageError("a finding was named, and a control or subject too", fix="leave out one or the other")
        rows = []
        if not on_file.is_new(programme):
            with State(programme.state) as state:
                rows = [row.finding for row in state.findings() if row.finding.fingerprint.startswith(finding.lower())]
        if len(rows) != 1 or not finding:
            many = "no finding" if not rows else f"{len(rows)} findings"
            raise UsageError(f"{many} on file with a fingerprint that begins with {finding!r}", fix="see: countersign findings --json")
        return rows[0].control, rows[0].subject
    if control is None or subject is None:
        raise UsageError("it is not said what is to be accepted", fix="give --finding FINGERPRINT, or --control ID and --subject ID")
    check_names(programme, control, None)
    if re.fullmatch(r"[a-z]+:\S.*:[a-z][a-z-]*/\S.*", subject) is None:
        raise UsageError("the subject is not written as findings have it", fix="take `subject` from: countersign findings --json")
    return control, subject


def _ask(programme: "Programme", entry: "RegisteredException", *, dry_run: bool, as_json: bool) -> int:
    from countersign.register import exception_file
    from countersign.register.exceptions import approvers

    register = programme.register
    folder = programme.folder / "register" / "exceptions"
    can, obstacles = approvers(register, entry, register.today(datetime.now(UTC)))
    if not can:
        raise UsageError(
            f"nobody could approve this: {'; '.join(f'{fault.field}: {fault.message}' for fault in obstacles)}",
            fix="; ".join(dict.fromkeys(fault.fix for fault in obstacles)),
        )
    number = exception_file.next_id(register, folder)
    while True:
        entry = entry.model_copy(update={"exception": number})
        path = folder / f"{number}.yaml"
        text = exception_file.text_of(entry)
        if dry_run or exception_file.create(path, text):
            break
        number = exception_file.next_id(register, folder)
    notes = _unfound(programme, entry)
    if as_json:
        fields = entry.model_dump(mode="json")
        show.document({"exception": number, "file": path, "may_approve": can, "notes": notes, "dry_run": dry_run, "entry": fields})
        return EXIT_FINE
    where = show.path(path)
    show.out(f"Dry run: would write {where}" if dry_run else f"Wrote {where}. It excepts nothing until it is approved.")
    show.out("", show.lines(text), show.text(f"May approve: {people(register, can)}"))
    if not dry_run:
        signed = "" if register.allowed_signers is None else " --key ~/.ssh/id_ed25519"
        show.out(f"  {show.program()} exception approve {number} --as {can[0]}{signed} -p {show.path(programme.folder)}")
    for note in notes:
        show.say(show.text(note))
    return EXIT_FINE


def _unfound(programme: "Programme", entry: "RegisteredException") -> list[str]:
    """Say where no finding is on file that a request could be for: it may have been mistyped."""
    from countersign.cli import on_file
    from countersign.state import State

    if entry.subject.startswith("register:") or on_file.is_new(programme):
        return []
    with State(programme.state) as state:
        there = any(
            row.finding.subject == entry.subject and row.finding.state != "resolved" for row in state.findings(control=entry.control)
        )
    return [] if there else [f"No finding of {entry.control} for this subject is on file: until there is one, this accepts nothing."]


def _row(register: "Register", entry: "RegisteredException", today: date) -> dict[str, Any]:
    from countersign.register.exceptions import faults, renewals, standing

    now = standing(register, entry, today)
    broken = [f"{fault.field}: {fault.message}" for fault in faults(register, entry, today)]
    holds = now.state in ("approved", "requested")
    return {
        "exception": entry.exception,
        "state": now.state,
        "control": entry.control,
        "subject": entry.subject,
        "expires": str(entry.expires),
        "days_left": (entry.expires - today).days if holds else None,
        "approved_by": entry.approved_by,
        "approved_on": None if entry.approved_on is None else str(entry.approved_on),
        "requested_by": entry.requested_by,
        "ended_on": None if entry.ended_on is None else str(entry.ended_on),
        "renews": entry.renews,
        "renewals": len(renewals(register, entry)),
        "renewals_allowed": register.exception_limits.max_renewals,
        "signed": entry.approval is not None and register.allowed_signers is not None and now.state == "approved",
        "faults": broken,
        "why": now.why,
        "act": bool(broken) or now.state == "requested",
    }


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    renewed = f"{row['renewals']} of {row['renewals_allowed']}"
    said = "; ".join(row["faults"]) or (row["why"] or "").partition(": ")[2]
    return (
        row["exception"], row["state"], row["expires"], row["days_left"], row["control"], row["subject"], row["approved_by"],
        row["requested_by"], renewed, said,
    )  # fmt: skip
