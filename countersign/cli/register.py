"""`countersign register`: check who answers for what, and describe the files in which it is written."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.errors import Problem
    from countersign.programme import Programme

_ONE = {
    "people": "person",
    "partners": "partner",
    "controls": "control",
    "workloads": "workload",
    "exceptions": "exception",
    "incidents": "incident",
}


def check(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Say everything that is wrong with the register, each with file, line and fix.

    What breaks no rule and should be known all the same is a note, which changes nothing about the exit code.
    Exit code 0: it holds; 1: there are problems; 2: there is no register here.
    """
    from countersign.errors import ConfigError
    from countersign.programme import load

    counts: dict[str, int] = {}
    noted: tuple[Problem, ...] = ()
    try:
        loaded = load(programme)
    except ConfigError as error:
        if not (programme / "register").is_dir():
            raise
        found = error.problems
    else:
        found, noted = problems(loaded), notes(loaded)
        counts = {name: len(getattr(loaded.register, name)) for name in _ONE}
    if as_json:
        said = {"ok": not found, "problems": show.problem_list(found), "notes": show.problem_list(noted), "entries": counts or None}
        show.document(said)
    else:
        for problem in found:
            show.out(show.problem_text(problem))
        if noted:
            show.out("Worth knowing, though it breaks no rule:")
        for note in noted:
            show.out(show.problem_text(note))
        held = ", ".join(f"{count} {_ONE[name] if count == 1 else name}" for name, count in counts.items())
        many = f"{len(found)} {'problem' if len(found) == 1 else 'problems'}"
        show.out(f"The register holds: {held}." if not found else f"{many} in the register{f' ({held})' if held else ''}.")
    return EXIT_ACT if found else EXIT_FINE


def schema(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Print a JSON Schema for each kind of file of the register, so that an editor can complete and check them; always JSON."""
    from countersign.register.schema import schema as described

    del programme, as_json  # every command takes them
    show.document(described())
    return EXIT_FINE


def problems(programme: "Programme") -> tuple["Problem", ...]:
    """Return every rule that the register breaks today."""
    from countersign.expectation import expectations
    from countersign.register.check import check as checked

    today = programme.register.today(datetime.now(UTC))
    known = [record.id for record in expectations()]
    return checked(programme.register, today, signer=programme.evidence.signer, known_controls=known)


def notes(programme: "Programme") -> tuple["Problem", ...]:
    """Return what breaks no rule of the register and should be known all the same."""
    from countersign.expectation import expectations
    from countersign.register.check import notes as noted

    today = programme.register.today(datetime.now(UTC))
    return noted(programme.register, today, known_controls=[record.id for record in expectations()])
