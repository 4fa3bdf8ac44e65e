"""The auditor's export as a flow: on demand, from sealed evidence only, with no cloud role."""

from datetime import date
from pathlib import Path
from typing import Annotated

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from pydantic import Field

from countersign.errors import CountersignError
from countersign.export import SAMPLES, Exported, Wanted, export
from countersign.programme import load
from flows.telling import to_log


@flow(name="evidence-export", flow_run_name="export {first} to {last}", persist_result=False, validate_parameters=True)
def evidence_export(  # noqa: PLR0913, PLR0917 - one parameter for each thing that may be asked for
    programme: str,
    first: date,
    last: date,
    output: str,
    partner: str | None = None,
    pseudonymise: bool = False,  # noqa: FBT001, FBT002 - Prefect gives parameters by name
    samples: Annotated[int, Field(ge=1)] = SAMPLES,
    seed: str | None = None,
    pdf: str | None = None,
    force: bool = False,  # noqa: FBT001, FBT002 - as above
) -> State[None]:
    """Write the signed bundle of a period, and leave an entry of kind `export` in the ledger.

    Ends Completed where the bundle was written, whatever its nights were like; red as `Failed` where there is none.

    Args:
        programme: The programme folder, as the worker sees it.
        first: First day of the period (UTC).
        last: Last day of the period (UTC), part of it.
        output: Path of the ZIP file to write; its folder is there, the file is not.
        partner: Id of one partner: nothing of any other is in the bundle. Empty: all.
        pseudonymise: Replace names; what undoes it stays beside the file.
        samples: Subjects drawn from each control's population.
        seed: The auditor's own seed of the samples. Empty: origin:from:to.
        pdf: Path of a summary to write as PDF. Empty: none.
        force: Write over a file that is there already.

    """
    log = get_run_logger()
    wanted = Wanted(
        first=first, last=last, output=Path(output), partner=partner or None, pseudonymised=pseudonymise, samples=samples,
        seed=seed or None, pdf=Path(pdf) if pdf else None, force=force,
    )  # fmt: skip
    try:
        made = export(load(Path(programme)), wanted, tell=to_log(log), requested=_flow_run())
    except CountersignError as error:
        return State(type=StateType.FAILED, name="Failed", message=str(error))
    _point(made)
    return State(type=StateType.COMPLETED, message=f"{made.path} {made.digest}, evidence {made.entry}")


def _flow_run() -> dict[str, str]:
    context = FlowRunContext.get()
    return {} if context is None or context.flow_run is None else {"flowRun": str(context.flow_run.id)}


def _point(made: Exported) -> None:
    """Leave a pointer to the bundle: digest, path and counts, nothing of what is in it."""
    nights = made.said["nights"]
    counts = "\n".join(f"| {table} | {count} |" for table, count in made.said["counts"].items())
    create_markdown_artifact(
        key="evidence-export",
        description=f"{made.said['period']['from']} to {made.said['period']['to']}",
        markdown=(
            f"# Export {made.said['period']['from']} to {made.said['period']['to']}\n\n"
            f"File: `{made.path}`, {made.said['bundle']['size']} bytes, `{made.digest}`\n\nEvidence: `{made.entry}`\n\n"
            f"Nights: {nights['expected']} expected, {nights['complete']} complete, "
            f"{len(nights['missing'])} missing.\n\n| table | rows |\n|---|---|\n{counts}\n"
        ),
    )
