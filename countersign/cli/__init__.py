"""The command line: `countersign COMMAND`; each command loads what it needs when it runs, so that help comes at once."""

from __future__ import annotations

import logging
import sys
import tempfile
import traceback
import warnings
from typing import TYPE_CHECKING, Annotated

import typer

import countersign
from countersign.cli import (
    approve,
    approve_plan,
    clocks,
    demo,
    digest,
    doctor,
    drill,
    escalate,
    evidence,
    exception,
    export,
    keys,
    look,
    offboard,
    permissions,
    programme,
    register,
    register_draft,
    register_show,
    run,
    runs,
    scorecard,
    show,
    tickets,
    verify,
)
from countersign.errors import CountersignError
from countersign.results import EXIT_FAILED, EXIT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_COMMANDS: tuple[tuple[str, str, Callable[..., int], str], ...] = (
    ("Try it", "demo", demo.demo, "countersign demo --keep northwind"),
    ("Try it", "sandbox", demo.sandbox, "countersign sandbox --port-base 4566"),
    ("Set up", "init", programme.init, "countersign init northwind --customer northwind"),
    ("Set up", "keygen", programme.keygen, "countersign keygen keys/evidence.pem"),
    ("Set up", "permissions", permissions.permissions, "countersign permissions aws --file read.json"),
    ("Set up", "doctor", doctor.doctor, "countersign doctor -p northwind"),
    ("Every night", "reconcile", run.reconcile, "countersign reconcile -p northwind --source aws"),
    ("Every night", "findings", look.findings, "countersign findings -p northwind --partner acme --json"),
    ("Every night", "unknowns", look.unknowns, "countersign unknowns -p northwind --control human-mfa"),
    ("Every night", "clocks", clocks.clocks, "countersign clocks -p northwind --late"),
    ("Every night", "escalate", escalate.escalate, "countersign escalate -p northwind --dry-run"),
    ("Every night", "digest", digest.digest, "countersign digest -p northwind --person maria"),
    ("Every night", "tickets", tickets.tickets, "countersign tickets -p northwind --partner acme --state open"),
    ("End access", "approve", approve_plan.approve, "countersign approve acme-20261122t133000z-1a2b3c --as maria --key ~/.ssh/id_ed25519"),
    ("End access", "drill", drill.drill, "countersign drill --as maria --key ~/.ssh/id_ed25519 -p northwind"),
    ("Check", "export", export.export, "countersign export --from 2026-08-24 --to 2026-11-21 -o northwind.zip -p northwind"),
    ("Check", "scorecard", scorecard.scorecard, "countersign scorecard acme --from 2026-10-01 -p northwind"),
    ("Check", "verify", verify.verify, "countersign verify northwind/evidence --key evidence.pub.pem"),
)
_REGISTER: tuple[tuple[str, Callable[..., int], str], ...] = (
    ("check", register.check, "countersign register check -p northwind"),
    ("schema", register.schema, "countersign register schema > register.schema.json"),
    ("draft", register_draft.draft, "countersign register draft -p northwind --dry-run"),
    ("show", register_show.show_register, "countersign register show --matrix"),
)
_EXCEPTION: tuple[tuple[str, Callable[..., int], str], ...] = (
    ("list", exception.listed, "countersign exception list -p northwind"),
    ("request", exception.request, "countersign exception request --finding 5f2ac0de --expires 2026-12-01 --by dev --reason ..."),
    ("statement", approve.statement, "countersign exception statement EX-0012 --as maria > EX-0012.json"),
    ("approve", approve.approve, "countersign exception approve EX-0012 --as maria --key ~/.ssh/id_ed25519"),
    ("renew", exception.renew, "countersign exception renew EX-0012 --expires 2027-01-15 --by dev"),
    ("end", exception.end, "countersign exception end EX-0012"),
)
_EVIDENCE: tuple[tuple[str, Callable[..., int], str], ...] = (
    ("list", evidence.listed, "countersign evidence list -p northwind"),
    ("fetch", evidence.fetch, "countersign evidence fetch -p northwind"),
    ("hold", evidence.hold, 'countersign evidence hold 12-42 --reason "case 7 of 2026" --by "Maria Jones, legal"'),
    ("release", evidence.release, 'countersign evidence release hold-20261122-3f2a --reason "case closed" --by "Maria Jones, legal"'),
    ("dispose", evidence.dispose, "countersign evidence dispose -p northwind --yes"),
    ("prove", evidence.prove, "countersign evidence prove 42 -o proof.json"),
    ("checkpoint", evidence.checkpoint, "countersign evidence checkpoint -o checkpoint.txt"),
    ("stamp", evidence.stamped, "countersign evidence stamp -p northwind"),
)
_OFFBOARD: tuple[tuple[str, Callable[..., int], str], ...] = (
    ("plan", offboard.plan, 'countersign offboard plan acme --as devika --reason "contract C-2041 ends"'),
    ("apply", offboard.apply, "countersign offboard apply acme-20261122t133000z-1a2b3c -p northwind"),
    ("status", offboard.status, "countersign offboard status -p northwind"),
    ("certify", offboard.certify, "countersign offboard certify acme-20261122t133000z-1a2b3c"),
    ("settle", offboard.settle, "countersign offboard settle acme-20261122t133000z-1a2b3c"),
    ("rollback", offboard.rollback, "countersign offboard rollback acme-20261122t133000z-1a2b3c --as devika"),
)
_RUNS = (("diff", runs.diff, "countersign runs diff previous latest -p northwind --kind findings"),)
_KEYS = (
    ("public", keys.public, "countersign keys public -o keys/evidence.pub.pem"),
    ("rotate", keys.rotate, "countersign keys rotate --to file:keys/evidence-2027.pem"),
)
_GROUPS: tuple[tuple[str, str, str | None, tuple[tuple[str, Callable[..., int], str], ...]], ...] = (
    ("keygen", "keys", "The key that signs: print its public half, change to another.", _KEYS),
    ("keygen", "register", "Check, show or draft the register, or describe its files.", _REGISTER),
    ("tickets", "runs", None, _RUNS),
    ("tickets", "exception", "Accept a finding for a time: ask, approve, renew, end, list.", _EXCEPTION),
    ("approve", "offboard", "End a partner's access with proof: plan, apply what is approved, list, certify, take back.", _OFFBOARD),
    (
        "verify", "evidence", "Look after the sealed evidence: list, hold, release, dispose, prove, keep a checkpoint, ask for timestamps.",
        _EVIDENCE,
    ),
)  # fmt: skip
"""The command that a group stands after, its name, what it is for (None: it does something by itself), and its commands."""


def _version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it with what was given
    if asked:
        show.out(f"countersign {countersign.__version__}")
        raise typer.Exit


def _any(
    *, version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")] = False
) -> None:
    """Take the options that stand before a command."""
    del version


def _end(code: int | None, **_options: object) -> None:
    raise typer.Exit(code or 0)


def _app() -> typer.Typer:
    settings = {"add_completion": False, "rich_markup_mode": "rich", "pretty_exceptions_enable": False, "no_args_is_help": True}
    app = typer.Typer(
        **settings,  # type: ignore[arg-type]  # each is of its parameter's type
        help=(
            "Countersign: the customer's side of a partner-run identity programme.\n\n"
            "Exit codes: 0 fine; 1 something to act on; 2 usage or configuration; 3 some of it could not be read; 4 failed."
        ),
        epilog="Example: countersign demo",
        result_callback=_end,
    )
    app.callback()(_any)
    told = {**settings, "no_args_is_help": False, "invoke_without_command": True, "callback": runs.runs}
    for panel, name, function, example in _COMMANDS:
        app.command(name, epilog=f"Example: {example}", rich_help_panel=panel)(function)
        for after, group, said, commands in _GROUPS:
            if after == name:
                made = typer.Typer(
                    **(told if said is None else {**settings, "help": said}),  # type: ignore[arg-type]  # as above
                    epilog=f"Example: {'countersign runs -p northwind' if said is None else commands[0][2]}",
                )
                for each, doing, shown in commands:
                    made.command(each, epilog=f"Example: {shown}")(doing)
                app.add_typer(made, name=group, rich_help_panel=panel)
    return app


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    sys.path.insert(0, str(countersign.app_dir()))
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    # Libraries may only speak up when something is broken; what matters of the rest is in our own words.
    spoken = logging.StreamHandler(sys.stderr)
    spoken.setLevel(logging.ERROR)
    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s", handlers=[spoken])
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.exit(answer(sys.argv[1:]))


def answer(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error becomes a message, and a document too with `--json`."""
    as_json = "--json" in arguments
    try:
        _app()(args=list(arguments), prog_name="countersign")
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else EXIT_FAILED
        if code == EXIT_USAGE and as_json:
            # Only a command line that was not understood ends in this way; it has been explained on standard error.
            show.document({"error": "the command line was not understood", "fix": "countersign --help", "problems": []})
        return code
    except CountersignError as error:
        show.error(error, as_json=as_json)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - whatever it is, a person gets a sentence and not a traceback
        show.error(_unexpected(error), as_json=as_json)
    return EXIT_FAILED


def _unexpected(error: Exception) -> CountersignError:
    try:
        with tempfile.NamedTemporaryFile(prefix="countersign-", suffix=".txt", delete=False) as file:
            file.write("".join(traceback.format_exception(error)).encode(errors="replace"))
        return CountersignError(
            f"this should not have happened: {type(error).__name__}. The details are in {file.name}",
            fix="look there for names you know; if it is our mistake, report it with that file",
        )
    except OSError:
        return CountersignError(f"this should not have happened: {type(error).__name__}, and the details could not be written to a file")
