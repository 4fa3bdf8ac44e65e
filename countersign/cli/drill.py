"""`countersign drill`: walk the ways that nobody uses every day, on identities made for it, and measure how long they take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.cli.run import UsageError, interrupted
from countersign.results import EXIT_ACT, EXIT_FINE, EXIT_PARTIAL

if TYPE_CHECKING:
    from countersign.drill.outcome import Result
    from countersign.programme import Programme


def drill(  # noqa: PLR0913 - one parameter for each option
    *,
    path: Annotated[
        Literal["remediation", "exception", "all"], typer.Option("--path", help="Which way: revoking, accepting a finding, or both.")
    ] = "all",
    person: Annotated[
        str | None, typer.Option("--as", metavar="PERSON", help="Who approves the drill's plan: the id of a person of yours.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Their SSH key, to sign for it here and now.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say where a drill would be and who may approve it; make and write nothing.")
    ] = False,
    programme: ProgrammeFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Make identities in the scopes set aside, find, revoke and remove them; and accept a finding on a copy of the register.

    Without --as and --key a drill of revocation waits for its approval: give it with `countersign approve`, and start it again; the
    secrets of its identities are then forgotten, so that their refusal is not shown. Exit code 0: passed; 1: failed; 2: none could begin;
    3: it waits for its approval.
    """
    from countersign.programme import load

    if (person is None) != (key is None):
        raise UsageError("a drill is approved by a person with their key", fix="add both --as PERSON and --key FILE, or neither")
    loaded = load(programme)
    if dry_run:
        return _rehearsed(loaded, path, person, as_json=as_json)
    try:
        results = _drilled(loaded, path, person, key)
    except KeyboardInterrupt:
        again = f"{show.program()} drill -p {show.path(programme)}"
        return interrupted("what the drill made is still there; the next drill removes it first", again, as_json=as_json)
    if as_json:
        show.document(
            {"drills": [{**result.said, "state": result.state, "why": result.why, "evidence": result.evidence} for result in results]}
        )
    else:
        for result in results:
            _show(result)
    states = {result.state for result in results}
    return EXIT_ACT if "failed" in states else EXIT_PARTIAL if "waits" in states else EXIT_FINE


def _drilled(programme: "Programme", path: str, person: str | None, key: Path | None) -> "list[Result]":
    from countersign import approval
    from countersign.drill import exception, remediation
    from countersign.drill.remediation import Signer

    signer = None if person is None or key is None else Signer(person, lambda message: approval.sign(message, key))
    if path != "exception":
        remediation.check(programme, person)
    results = []
    with show.progress(f"drilling {programme.customer}") as tell:
        if path != "remediation":
            results.append(exception.drill(programme, tell=tell))
        if path != "exception":
            results.append(remediation.drill(programme, signer=signer, tell=tell))
    return results


def _rehearsed(programme: "Programme", path: str, person: str | None, *, as_json: bool) -> int:
    from datetime import UTC, datetime

    from countersign.canary import planter
    from countersign.drill import remediation, scopes

    where: list[dict[str, str]] = []
    able: tuple[str, ...] = ()
    if path != "exception":
        able = remediation.check(programme, person)
        for place in scopes.places(programme):
            with planter(place.source.provider, place.source, place.scope, now=lambda: datetime.now(UTC)):
                where.append({"provider": place.source.provider, "source": place.source.name, "scope": place.scope.name})
    if as_json:
        show.document({"path": path, "scopes": where, "approvers": list(able), "dry_run": True})
        return EXIT_FINE
    for each in where:
        show.out(show.text(f"Canaries would be made in {each['provider']} {each['scope']} (source {each['source']}), and removed again."))
    if path != "exception":
        show.out(show.text(f"The plan could be approved by: {', '.join(able)}."))
    if path != "remediation":
        show.out("An exception would be asked for, refused, approved and ended, on a copy of the register in a folder of its own.")
    show.out("Dry run: nothing was made or written.")
    return EXIT_FINE


def _show(result: "Result") -> None:
    told = {"passed": "passed", "failed": "failed", "waits": "waits for its approval"}[result.state]
    show.out(show.text(f"Drill of {result.path} {result.drill} {told}.", "bold"))
    rows = ((step.step, step.as_json()["state"], "-" if step.seconds is None else step.seconds) for step in result.steps)
    show.out(show.table(("step", "state", "seconds"), rows, numbers=("seconds",)))
    if result.path == "remediation":
        controls = [(row["provider"], row["control"], f"{row['found']} of {row['canaries']}") for row in result.said.get("controls", ())]
        if controls:
            show.out("", show.table(("provider", "control", "canaries found"), controls, numbers=("canaries found",)))
        for name, seconds in result.said["seconds"].items():
            if name.startswith("revoke "):
                show.out(show.text(f"From approval to the last change seen in {name.removeprefix('revoke ')}: {seconds} s"))
        for proof, count in result.said["proofs"].items():
            show.out(show.text(f"Secrets tried afterwards, {proof}: {count}"))
    for refusal in result.said.get("refusals", ()):
        show.out(show.text(f"Refused, as it has to be: an approval {refusal['given']}: {refusal['refused']}"))
    if result.why is not None:
        show.out(show.text(result.why[:1].upper() + result.why[1:]))
    if result.state == "waits":
        show.out(
            f"Approve it:   {show.program()} approve {result.plan} --as PERSON --key FILE",
            f"Then go on:   {show.program()} drill --path remediation",
        )
    if result.evidence is not None:
        show.out(f"Evidence: {show.path(result.evidence)}")
