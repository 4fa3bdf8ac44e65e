"""`countersign offboard`: plan the end of a partner's access, carry it out once it is approved, take it back, certify it, list plans."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.cli import offboard_show, show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError, interrupted
from countersign.results import EXIT_ACT, EXIT_FAILED, EXIT_FINE, EXIT_PARTIAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from countersign.offboarding.applied import Done
    from countersign.offboarding.broken_glass import BrokenGlass
    from countersign.offboarding.plan import Asked, Plan
    from countersign.offboarding.process import Outcome
    from countersign.programme import Programme
    from countersign.results import Tell

Requester = Annotated[
    str, typer.Option("--as", metavar="PERSON", help="Who asks: the id of a person of yours, who cannot approve it then.")
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever approves it and for the certificate.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan, and write nothing.")]
Every = Annotated[bool, typer.Option("--all", help="Print every step and note, however many.")]
PlanName = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id, or its file.")]


def plan(  # noqa: PLR0913 - one parameter for each option
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Id of the partner in the register.")],
    *,
    person: Requester,
    reason: Reason = "",
    identity: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this identity, as `countersign findings --json` gives it; repeat for several."),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="UID=WHY", help="Leave this identity or credential as it is, and say why; repeat for several."),
    ] = None,
    emergency: Annotated[bool, typer.Option("--emergency", help="Only what is reversible and ends access at once.")] = False,
    incident: Annotated[bool, typer.Option("--incident", help="An incident is why; those accountable for incident-open decide.")] = False,
    delete: Annotated[
        str | None, typer.Option(metavar="PLAN", help="Delete what this plan switched off, once it was watched long enough.")
    ] = None,
    every: Every = False,
    dry_run: DryRun = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Find everything by which a partner can get in, and plan what takes it away, reversible changes first; nothing is changed.

    The plan is sealed in the evidence and waits seven days for its approval. Exit code 0: it can be approved; 1: something has to be
    settled first; 3: some of it could not be read, so nobody knows what is there.
    """
    from countersign.offboarding.plan import Asked
    from countersign.programme import load

    loaded = load(programme)
    left_out = tuple(_pair(text) for text in without or ())
    asked = Asked(
        partner=partner, phase="delete" if delete else "disable", trigger="incident" if incident else "by-hand", requested_by=person,
        reason=reason, only=tuple(identity or ()), without=left_out, emergency=emergency, follows=delete,
    )  # fmt: skip
    return _planned(loaded, asked, every=every, dry_run=dry_run, as_json=as_json)


def rollback(  # noqa: PLR0913 - one parameter for each option
    plan: PlanName,
    *,
    person: Requester,
    reason: Reason = "",
    step: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this step, by its id; repeat for several.")] = None,
    every: Every = False,
    dry_run: DryRun = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Plan how to give back what a plan switched off, as it was right before; it is approved and applied like any plan.

    What cannot be taken back is listed. Exit codes as those of `offboard plan`.
    """
    from countersign.offboarding import folder
    from countersign.offboarding.plan import Asked
    from countersign.programme import load

    loaded = load(programme)
    origin = folder.find(loaded, plan)
    asked = Asked(
        partner=origin.asked.partner, phase="restore", trigger=origin.asked.trigger, requested_by=person, reason=reason, follows=origin.id,
        steps=tuple(step or ()),
    )  # fmt: skip
    return _planned(loaded, asked, every=every, dry_run=dry_run, as_json=as_json)


def apply(  # noqa: PLR0913 - one parameter for each option
    plan: PlanName,
    *,
    approval: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="An approval that lies elsewhere: a statement (.json) with its signature (.sig) beside it."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="UID=REF",
            help="An old credential to prove that it is refused: `env:NAME` or `file:PATH`; repeat for several. Kept nowhere.",
        ),
    ] = None,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Act before the approval, on what is reversible only; the approval is owed within a day.")
    ] = False,
    person: Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who breaks the glass: a person of yours.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Their SSH key, to sign for it.")] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it cannot wait.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the approvals and whether everything is as planned; change nothing.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Carry out a plan: check the approvals, look whether everything is still as planned, change step by step, read again, certify.

    It stops at the first step that fails, and goes on there when it is started again. Exit code 0: everything has ended; 1: something
    is left, which it lists; 2: it was refused, and nothing was changed; 3: somewhere nobody could look; 4: it failed.
    """
    from countersign.offboarding import folder
    from countersign.programme import load
    from countersign.state import StateBusyError

    loaded = load(programme)
    made = folder.find(loaded, plan)
    for file in approval or ():
        folder.take(loaded, made, file)
    glass = _broken(made, person, key, reason) if break_glass else None
    secrets = dict(_secret(text) for text in secret or ())
    unknown = sorted(secrets.keys() - {held.uid for held in made.holdings})
    if unknown:
        raise UsageError(f"the plan has nothing called {unknown[0]}", fix="name it by the uid that the plan's holdings give")
    try:
        with show.progress(f"applying {made.id}") as tell:
            if dry_run:
                return _rehearsed(loaded, made, tell_json=as_json)
            outcome = _carried_out(loaded, made, secrets, glass, tell)
    except StateBusyError as error:
        raise UsageError(error.message, fix=error.fix) from error
    except KeyboardInterrupt:
        again = f"{show.program()} offboard apply {made.id} -p {show.path(programme)}"
        return interrupted("what was changed is in the journal, and nothing is repeated", again, as_json=as_json)
    return _came(loaded, outcome, as_json=as_json)


def settle(plan: PlanName, *, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Take the approval that is owed since the glass was broken for a plan; nothing is changed at a provider.

    Exit code 0: it is settled, or nothing was owed; 2: what is on file does not count, and it says why.
    """
    from countersign.offboarding import folder, process
    from countersign.programme import load

    loaded = load(programme)
    made = folder.find(loaded, plan)
    settled = process.settle(loaded, made)
    if as_json:
        show.document({"plan": made.id, "settled": settled})
    else:
        show.out("The approval that was owed is there, and sealed." if settled else "Nothing is owed for this plan.")
    return EXIT_FINE


def certify(plan: PlanName, *, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Read everything again with the reading identity, and certify what has ended and what is left; changes nothing at a provider.

    Exit code 0: everything has ended; 1: something is left; 3: somewhere nobody could look.
    """
    from countersign.offboarding import folder, process
    from countersign.programme import load

    loaded = load(programme)
    made = folder.find(loaded, plan)
    with show.progress(f"verifying {made.id}") as tell:
        certified = process.certify(loaded, made, tell=tell)
    if as_json:
        show.document(
            {"plan": made.id, "state": certified.state, "certificate": certified.digest, "evidence": certified.path, "said": certified.said}
        )
    else:
        offboard_show.certified(certified)
    return offboard_show.exit_code(certified)


def status(*, every: Every = False, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """List the plans on file: how far each is, who has to act, and what is owed.

    Exit code 0: nothing waits; 1: a plan waits for somebody, is incomplete, or an approval is owed.
    """
    from countersign.cli.offboard_status import rows
    from countersign.programme import load

    loaded = load(programme)
    now = datetime.now(UTC)
    listed = rows(loaded, now, every=every)
    if as_json:
        show.document([row.as_json() for row in listed])
    elif listed:
        show.out(
            show.table(("plan", "phase", "asked by", "steps", "state", "waits for"), (row.cells() for row in listed), numbers=("steps",))
        )
    else:
        show.out("No plan is on file." if every else "No plan waits; --all lists those that are over.")
    return EXIT_ACT if any(row.waits for row in listed) else EXIT_FINE


def _carried_out(
    programme: "Programme", made: "Plan", secrets: "Mapping[str, str]", glass: "BrokenGlass | None", tell: "Tell"
) -> "Outcome":
    from countersign.offboarding import process

    def work(tell: "Tell") -> "Outcome":
        return process.carry_out(programme, made, secrets=secrets, broken_glass=glass, tell=tell)

    if not os.environ.get("PREFECT_API_URL"):
        return work(tell)
    from countersign.cli.run import told
    from flows import launch, nightly_reconciliation

    del nightly_reconciliation  # imported because Prefect sets up its loggers then
    with told(tell):
        return launch.applied(programme, made.id, work)


def _planned(programme: "Programme", asked: "Asked", *, every: bool, dry_run: bool, as_json: bool) -> int:
    import json

    from countersign.offboarding import process

    try:
        with show.progress(f"planning the end of {asked.partner}") as tell:
            made = process.make(programme, asked, tell=tell)
            if not dry_run:
                process.keep(programme, made)
    except KeyboardInterrupt:
        return interrupted("no plan was written", "start it again when you like", as_json=as_json)
    if as_json:
        show.document(json.loads(made.document()) | {"digest": f"sha256:{made.digest()}", "dry_run": dry_run})
    else:
        offboard_show.shown(made, every=every)
        if dry_run:
            show.out("Dry run: nothing was written.")
        else:
            here = f"-p {show.path(programme.folder)}"
            show.out(
                f"Approve it:   {show.program()} approve {made.id} --as PERSON --key FILE {here}",
                f"Carry it out: {show.program()} offboard apply {made.id} {here}",
            )
    if any(note.level == "stop" for note in made.noted):
        return EXIT_ACT
    return EXIT_PARTIAL if made.unread else EXIT_FINE


def _rehearsed(programme: "Programme", made: "Plan", *, tell_json: bool) -> int:
    from countersign.offboarding import process
    from countersign.offboarding.plan import drift

    said = process.decision(programme, made, datetime.now(UTC))
    changed = tuple(drift(made, process.again(programme, made), frozenset())) if made.asked.phase != "restore" else ()
    if tell_json:
        show.document({
            "plan": made.id, "approved": said.holds, "approvers": list(said.approvers), "refused": list(said.refused),
            "drift": list(changed), "dry_run": True,
        })  # fmt: skip
    else:
        show.out(f"Dry run: {'approved by ' + ', '.join(said.approvers) if said.holds else 'not approved'}; nothing was changed.")
        for line in (*said.refused, *changed):
            show.out(show.text(f"  {line}"))
    return EXIT_FINE if said.holds and not changed else EXIT_ACT


def _came(programme: "Programme", outcome: "Outcome", *, as_json: bool) -> int:
    applied, certified = outcome.applied, outcome.certified
    if as_json:
        show.document({
            "plan": applied.plan.id, "state": applied.state, "steps": applied.counts, "evidence": applied.evidence,
            "seconds_from_approval": applied.said()["secondsFromApproval"],
            "left": [_left(done) for done in applied.left],
            "certificate": None if certified is None else {
                "state": certified.state, "digest": certified.digest, "evidence": certified.path, "residual": certified.said["residual"],
            },
        })  # fmt: skip
    else:
        offboard_show.came(programme, outcome)
    if applied.left:
        return EXIT_FAILED if not any(done.settled for done in applied.steps) else EXIT_ACT
    return EXIT_FINE if certified is None else offboard_show.exit_code(certified)


def _left(done: "Done") -> dict[str, object]:
    return {"step": done.change.id, "target": done.change.target, "says": done.change.says, "why": done.step.why}


def _broken(made: "Plan", person: str | None, key: Path | None, reason: str) -> "BrokenGlass":
    from countersign import approval
    from countersign.offboarding.broken_glass import BrokenGlass, words

    if made.asked.phase != "disable":
        raise UsageError(
            f"the plan is to {made.asked.phase}, and only what can be taken back is done without an approval", fix="have it approved"
        )
    if person is None or key is None or not reason.strip():
        raise UsageError("breaking the glass is signed for", fix="add --as PERSON --key FILE --reason TEXT")
    said = words(made, person, reason, datetime.now(UTC).replace(microsecond=0)).message()
    return BrokenGlass(by=person, reason=reason, statement=said, signature=approval.sign(said, key))


def _pair(text: str) -> tuple[str, str]:
    uid, equals, why = text.rpartition("=")
    if not equals or not uid or not why.strip():
        raise UsageError(f"--without {text}: it is not said why", fix='write --without "UID=why it stays"')
    return uid, why.strip()


def _secret(text: str) -> tuple[str, str]:
    """Read an old credential from where it is referred to; its value is never in the command line, a message or a file of ours."""
    uid, _, reference = text.rpartition("=")
    kind, _, where = reference.partition(":")
    if not uid or kind not in {"env", "file"} or not where:
        raise UsageError("--secret names where a credential is, never the credential", fix="write --secret UID=env:NAME or UID=file:PATH")
    if kind == "env":
        value = os.environ.get(where)
        if not value:
            raise UsageError(f"the environment variable {where} is not set", fix="set it for this command only")
        return uid, value
    try:
        return uid, Path(where).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the file {where} cannot be read", fix="name the file that holds the old credential") from error
