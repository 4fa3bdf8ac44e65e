"""`countersign register`: check who answers for what, and describe the files in which it is written."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, ProgrammeFolder
from countersign.results import EXIT_ACT, EXIT_FINE

if TYPE_CHECKING:
    from countersign.errors import Problem
    from countersign.programme import Programme

_ONE = {"people": "person", "partners": "partner", "controls": "control", "workloads": "workload", "exceptions": "exception"}


def check(*, programme: ProgrammeFolder = HERE, as_json: AsJson = False) -> int:
    """Say everything that is wrong with the register, each with file, line and fix.

    Exit code 0: it holds; 1: there are problems; 2: there is no register here.
    """
    from countersign.errors import ConfigError
    from countersign.programme import load

    counts: dict[str, int] = {}
    try:
        loaded = load(programme)
    except ConfigError as error:
        if not (programme / "register").is_dir():
            raise
        found = error.problems
    else:
        found = problems(loaded)
        counts = {name: len(getattr(loaded.register, name)) for name in _ONE}
    if as_json:
        show.document({"ok": not found, "problems": show.problem_list(found), "entries": counts or None})
    else:
        for problem in found:
            show.out(show.problem_text(problem))
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
    known = {record.id for record in expectations()}
    return checked(programme.register, today, signer=programme.evidence.signer, known_controls=known)
