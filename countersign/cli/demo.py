"""`countersign demo` and `countersign sandbox`: clouds on this machine, to try everything on."""

import atexit
import os
import shutil
import signal
import tempfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from countersign.cli import show
from countersign.cli.options import HERE, AsJson, StartFolder
from countersign.cli.run import UsageError, interrupted, through_prefect
from countersign.errors import CountersignError
from countersign.results import EXIT_FAILED, EXIT_FINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.programme import Programme
    from countersign.results import RunResult
    from sandbox.estate import Clouds

Keep = Annotated[Path | None, typer.Option(metavar="DIR", help="Make the programme folder here; a temporary folder otherwise.")]
ENVIRONMENT = "sandbox.env"
"""File in a sandbox's programme folder that a shell reads to reach the clouds."""
REVOKING = "revoke.env"
"""And the one with the identities that revoke, which only `offboard apply` needs."""
PEOPLE = "keys/people"
"""Where the sandbox's people keep their SSH keys; anywhere else they keep them themselves."""
_ALL = "AWS, Entra and Azure, Google Cloud, Vault and exports"
_OF_THE_PERSON = ("AWS_", "AZURE_", "GOOGLE_", "CLOUDSDK_", "VAULT_", "BAO_", "PREFECT_")


def demo(*, keep: Keep = None, programme: StartFolder = HERE, as_json: AsJson = False) -> int:
    """Start sandbox clouds of a customer with three partners, run one night on them through Prefect, and say what to look at.

    Needs no account anywhere, and leaves nothing running. Exit code 0: the demo itself went well, whatever it found.
    """
    folder = _folder(programme, keep)
    try:
        with _stopping_on_term(), show.progress("starting the sandbox clouds") as tell, _clouds(folder, 0) as (_, environment):
            tell(f"{_ALL} of Northwind are ready, in {show.path(folder)}")
            with _environment(environment):
                from countersign.programme import load

                loaded = load(folder)
                result = through_prefect(loaded, tell=tell)
    except KeyboardInterrupt:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        left = f"; what was written is in {show.path(folder)}" if keep else ", and nothing is left of them"
        return interrupted(f"the sandbox clouds are stopped{left}", "countersign demo starts again, in a new folder", as_json=as_json)
    if as_json:
        from countersign.results import to_json

        show.document(to_json(result) | {"programme": folder, "report": result.evidence / "report.html"})
    else:
        _say_what_to_look_at(loaded, result, folder, kept=keep is not None)
    return EXIT_FAILED if result.state == "failed" or result.guard is not None else EXIT_FINE


def sandbox(
    *,
    port_base: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=65530,
            help="AWS listens on N, Vault on N+1, Graph and Azure on N+2, Google on N+3 and N+4, timestamps on N+5; 0: any free ports.",
        ),
    ] = 0,
    keep: Keep = None,
    programme: StartFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Keep the sandbox clouds running, with a programme folder that reads them, until Ctrl-C."""
    folder = _folder(programme, keep)
    try:
        with _stopping_on_term(), ExitStack() as stack:
            if keep is None:
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
            with show.progress("starting the sandbox clouds"):
                clouds, environment = stack.enter_context(_clouds(folder, port_base))
            file = _write_environment(folder / ENVIRONMENT, environment)
            stack.callback(file.unlink, missing_ok=True)
            revoking = _write_environment(folder / REVOKING, _revoking(clouds))
            stack.callback(revoking.unlink, missing_ok=True)
            if as_json:
                show.document(
                    {
                        "programme": folder,
                        "environment_file": file,
                        "revoking_environment_file": revoking,
                        "aws": {"endpoint": clouds.aws.endpoint},
                        "vault": {"address": clouds.vault.address},
                        "azure": {"graph": clouds.graph.address, "authority": clouds.graph.address, "management": clouds.graph.address},
                        "gcp": {"endpoint": clouds.gcp.endpoint, "rest": clouds.gcp.rest},
                        "timestamps": {"url": clouds.tsa.address},
                    }
                )
            else:
                show.out(
                    f"AWS:         {clouds.aws.endpoint}",
                    f"Vault:       {clouds.vault.address}",
                    f"Entra/Azure: {clouds.graph.address}      (Graph, the token authority and Resource Manager)",
                    f"Google:      {clouds.gcp.endpoint} (gRPC), {clouds.gcp.rest} (REST)",
                    f"Timestamps:  {clouds.tsa.address}",
                    f"Programme:   {show.path(folder)}",
                    "",
                    "In another terminal, in the same folder as here:",
                    f"  set -a; . {show.path(file)}; set +a      # credentials of the sandbox, and of nothing else",
                    f"  {show.program()} doctor -p {show.path(folder)}",
                    f"  {show.program()} reconcile -p {show.path(folder)}",
                    "",
                    "To end a partner's access there, plan it, approve it with a key of keys/people, and apply it as the one who revokes:",
                    f'  {show.program()} offboard plan brightpath --as devika --reason "the contract is over" -p {show.path(folder)}',
                    f"  {show.program()} approve PLAN --as maria --key {show.path(folder / PEOPLE / 'maria')} -p {show.path(folder)}",
                    f"  (set -a; . {show.path(revoking)}; {show.program()} offboard apply PLAN -p {show.path(folder)})",
                    "",
                    "Ctrl-C stops the clouds.",
                )
            while True:
                signal.pause()
    except KeyboardInterrupt:
        show.say("The sandbox clouds are stopped.")
        return EXIT_FINE


@contextmanager
def _clouds(folder: Path, port_base: int) -> "Iterator[tuple[Clouds, Mapping[str, str]]]":
    """Start and seed the clouds; gives them with the environment in which they can be read."""
    with ExitStack() as stack:
        direct = stack.enter_context(_no_proxy())
        try:
            from sandbox import estate

            clouds = stack.enter_context(estate.running(port_base))
        except ModuleNotFoundError as error:
            raise CountersignError(
                f"the sandbox needs the package {error.name}, which is not installed", fix="pip install 'countersign[sandbox]'"
            ) from error
        estate.seed(clouds, datetime.now(UTC), folder)
        yield clouds, {**estate.environment(clouds), **direct}


def _revoking(clouds: "Clouds") -> "Mapping[str, str]":
    from sandbox import estate

    return estate.revoking(clouds)


@contextmanager
def _no_proxy() -> "Iterator[Mapping[str, str]]":
    """Reach this machine without the person's proxy, which knows nothing of it."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    hosts = ",".join(dict.fromkeys([*filter(None, before.values()), "127.0.0.1", "localhost"]))
    direct = dict.fromkeys(before, hosts)
    os.environ.update(direct)
    try:
        yield direct
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _folder(start: Path, keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="countersign-northwind-"))
    folder = (start / keep).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{show.path(folder)} is there already, and nothing is overwritten", fix="name a folder that does not exist, or an empty one"
        )
    return folder


@contextmanager
def _environment(clouds: "Mapping[str, str]") -> "Iterator[None]":
    """Set the clouds' credentials in this process, and keep Prefect away from servers and settings of the person's own."""
    home = tempfile.mkdtemp(prefix="countersign-prefect-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)  # after Prefect's own server, which stops at exit too
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(_OF_THE_PERSON)]:
            del os.environ[name]
        os.environ.update(clouds)
        os.environ["PREFECT_HOME"] = home
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _stopping_on_term() -> "Iterator[None]":
    """Make a request to end (SIGTERM) the same as Ctrl-C, so that what was started is stopped."""

    def stop(number: int, frame: object) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_environment(file: Path, environment: "Mapping[str, str]") -> Path:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.writelines(f"{name}='{value}'\n" for name, value in environment.items())
    return file


def _say_what_to_look_at(programme: "Programme", result: "RunResult", folder: Path, *, kept: bool) -> None:
    from countersign.cli.summary import summary, verify_command

    summary(programme, result)
    there, program = show.path(folder), show.program()
    if result.state == "partial":
        show.out("", *_refusals(result))
    show.out(
        "",
        "What to try next (the clouds are stopped; what the run left is on disk):",
        f"  {program} findings -p {there} --partner corvid",
        f"  {program} tickets -p {there}",
        f"  {program} digest -p {there}      # what each owner is told in the morning",
        f"  {program} findings -p {there} --control rotation-age --json",
        f"  {verify_command(programme, result)}",
        f"  {program} export -p {there} --from {result.as_of:%Y-%m-%d} --to {result.as_of:%Y-%m-%d} -o bundle.zip      # for an auditor",
        f"  {program} register check -p {there}",
        f"  open {show.path(result.evidence / 'report.html')} in a browser",
        f"  {program} sandbox      # the same clouds, kept running, to reconcile again",
    )
    if not kept:
        show.out(f"  rm -r {there}      # when you are done (demo --keep DIR puts it where you want it)")


def _refusals(result: "RunResult") -> tuple[str, ...]:
    """Name the scopes that refuse the reader, which the estate has on purpose."""
    denied = sorted(
        f"{source['name']} {scope['scope']}" for source in result.sources for scope in _scopes(source) if scope["state"] == "denied"
    )
    return (
        f"Partial is the point: {show.clean(' and '.join(denied))} refuse to be read.",
        "What is there is unknown, and Countersign says so instead of passing it.",
    )


def _scopes(source: "Mapping[str, object]") -> "list[dict[str, object]]":
    scopes: Any = source["scopes"]
    return list(scopes)
