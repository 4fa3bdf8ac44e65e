"""A dry run: the same night on a copy of what is on file, in a folder that is gone afterwards."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from countersign import results, run_evidence, schema
from countersign.desk.local import local_tickets
from countersign.entry import open_store
from countersign.evidence import signer
from countersign.reconciliation import KIND, SUMMARY, Reconciliation, read_all
from countersign.results import Rehearsal, silent, state_of
from countersign.state import BATCH, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from countersign.inventory import Reading
    from countersign.programme import Programme
    from countersign.remediation import ActionKind
    from countersign.results import RunResult, Tell

_BECOMES: dict[ActionKind, str] = {
    "create": "created", "update": "updated", "close": "closed", "reopen": "reopened", "unchanged": "unchanged", "rolled-up": "rolled-up",
}  # fmt: skip


@contextmanager
def rehearse(
    programme: Programme,
    as_of: datetime | None = None,
    *,
    slot: str | None = None,
    only: Sequence[str] = (),
    tell: Tell = silent,
) -> Iterator[tuple[Programme, Rehearsal | RunResult]]:
    """Read, judge and plan as `reconcile` would, and write nothing: no ledger, no ticket, no evidence; no lock is taken.

    Yields what it would come to, and the programme of the rehearsal, whose ledger and evidence are the copies; both hold
    as long as the `with` block. A slot that had its run gives that run's result, as it would. The evidence key is not read:
    a key made for the rehearsal stands in. A ticket that a crashed run may have created counts as one to create.
    Raises CountersignError when the run could not start or not be judged.
    """
    with tempfile.TemporaryDirectory(prefix="countersign-dry-run-") as name:
        stage = _stage(programme, Path(name))
        with State(stage.state) as state:
            copy_ledger(programme.state, state.engine)
            earlier = None if slot is None else state.sound_run(programme.customer, KIND, slot)
        if earlier is not None:
            open_store(programme).fetch(int(str(earlier.evidence)))
            yield programme, run_evidence.earlier(programme.evidence.store, earlier)
            return
        with Reconciliation(stage, as_of=as_of, slot=slot, only=only, tell=tell) as run:
            run.staging.release()  # so that an error is not sealed, even there
            run.past = open_store(programme)
            run.plans = programme.state
            judged = run.judge(read_all(run))
            planned = run.plan(judged)
            run.state.apply(run.run, planned.transitions, at=run.as_of, target=run.desk.target, actions=planned.actions)
            tickets = Counter(_BECOMES[action.kind] for action in planned.actions)
            yield (
                stage,
                Rehearsal(
                    run=run.run,
                    kind=KIND,
                    slot=run.slot,
                    state=state_of(judged.readings),
                    as_of=run.as_of,
                    sources=results.sources(judged.readings),
                    controls=results.controls(judged.judgement.results),
                    findings={name: count for name, count in run.state.summary(run.run).items() if name in SUMMARY},
                    tickets={done: tickets[done] for done in (*_BECOMES.values(), "failed")},
                    guard=planned.stopped,
                    staged=run.folder,
                ),
            )


@contextmanager
def looked(
    programme: Programme,
    as_of: datetime | None = None,
    *,
    only: Sequence[str] = (),
    named: frozenset[str] = frozenset(),
    tell: Tell = silent,
) -> Iterator[tuple[tuple[Reading, ...], Path]]:
    """Read every source afresh and work out the facts, without verdicts; writes nothing, takes no lock.

    Yields how each scope was read, and the database of the facts, which holds as long as the `with` block. What earlier runs knew is
    left aside, but for `named`: identities (uids) whose keys are called by their own ids. Raises CountersignError when it could not
    start; a scope that cannot be read is a reading that says so.
    """
    with tempfile.TemporaryDirectory(prefix="countersign-look-") as name:
        stage = _stage(programme, Path(name))
        with Reconciliation(stage, as_of=as_of, only=only, tell=tell) as run:
            run.staging.release()  # so that an error is not sealed, even there
            run.named = named
            yield run.facts(read_all(run))


def _stage(programme: Programme, folder: Path) -> Programme:
    """Return the programme with everything that a run writes to inside `folder`."""
    key = folder / "key.pem"
    signer.keygen(key)
    here = {"store": folder / "evidence", "s3": None, "signer": f"file:{key}", "timestamps": None}
    evidence = programme.evidence.model_copy(update=here)
    return replace(programme, folder=folder, state=f"sqlite:///{folder / 'state.db'}", evidence=evidence)


def copy_ledger(url: str, into: sa.Engine) -> None:
    """Copy what a plan depends on, as it is at one moment, from the state database at `url`; nothing where there is none."""
    schema.create(into, local_tickets.metadata)
    with schema.reading(url) as source, into.begin() as target:
        for table in (schema.runs, schema.findings, schema.tickets, local_tickets):
            if source is not None and sa.inspect(source).has_table(table.name):
                rows = source.execute(sa.select(table), execution_options={"yield_per": BATCH}).mappings()
                for batch in rows.partitions():
                    target.execute(sa.insert(table), [dict(row) for row in batch])
