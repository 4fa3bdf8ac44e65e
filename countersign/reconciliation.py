"""One night, from reading to sealed evidence: read, judge, plan, seal the intent, act, seal the receipts.

The steps are methods so that a Prefect flow can put its tasks around the reading; `reconcile` runs them in threads.
A crash anywhere leaves the staged evidence behind: the next run of the same slot takes it over where nothing had been decided yet,
and any other run seals it as a failed entry of the chain.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING, Self

from countersign import findings_file, own_scopes, results, run_evidence, run_files, unfinished, verdicts
from countersign.clock import instant, stamp
from countersign.clocks.tonight import OnFile, clocks_tonight
from countersign.desk import DeskError, outbox
from countersign.desk.choice import desk_of
from countersign.entry import open_store, retain_until
from countersign.errors import CountersignError, EvidenceError, ReadError, ScopeDeniedError
from countersign.evidence import ledger, signer, statement, timestamps
from countersign.evidence.verify import STATEMENT, run_folder
from countersign.expectation import expectations
from countersign.facts import build, governance_tables, register_tables, write_register
from countersign.facts.history import keep as keep_history
from countersign.finding import AllBut, Seen, Transition, guard, life
from countersign.inventory import Reading, collect, folder_name, spool, unread
from countersign.judge import Judgement, judge
from countersign.key_lookup import needs_id
from countersign.memory import seldom_searched
from countersign.programme import claims
from countersign.reading import EXPORT, ReadRequest, Scope, connector
from countersign.remediation import Night, plan, scan_looks_wrong
from countersign.results import RunResult, Tell, silent, state_of
from countersign.run_files import Planned
from countersign.state import State
from countersign.ticket_words import Sources, shown, worded
from countersign.undertaken import undertaken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from countersign.desk import Desk
    from countersign.desk.outbox import Receipt
    from countersign.evidence.store import Log, Staging
    from countersign.finding import Known
    from countersign.programme import Programme
    from countersign.remediation import Action
    from countersign.state import Run

KIND = "reconcile"
READING = 0.7
"""How much of a run is reading, for those who watch it; the rest is judging and what follows."""
SUMMARY = ("open", "new", "resolved", "reopened", "unobserved", "excepted")
_NOT_SCANNED = frozenset({"register", "ledger"})
"""Where findings come from the customer's own files and from what earlier runs found."""
THREADS = 16
"""Scopes read at once: their time is the providers', who count their limits per account, tenant or project."""
KEPT = ".kept"
"""Folder of the programme with answers that need not be asked every night; it may be deleted at any time."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts of a run and where its failing subjects are."""

    readings: tuple[Reading, ...]
    judgement: Judgement
    database: Path


class Reconciliation:
    """One run of one programme; a context manager that holds the programme's lock and seals what happened, whatever happens.

    `as_of` None: the moment it starts. `slot` names what the run is the run of (a scheduled time), so that a second
    start of the same slot does nothing; None: a run of its own. `only` limits it to sources of those names.
    """

    def __init__(  # noqa: PLR0913 - what a run may be told, all optional
        self,
        programme: Programme,
        *,
        as_of: datetime | None = None,
        slot: str | None = None,
        only: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Tell = silent,
    ) -> None:
        self.programme = programme
        self.store = open_store(programme)
        self.past = self.store
        """Where the evidence of earlier runs lies; a rehearsal reads it where it is, and writes its own elsewhere."""
        self.plans = programme.state
        """Database of what came of plans; a rehearsal reads it where it is."""
        self.sealed: Path
        """Folder of the sealed run, once it is recorded."""
        self.clock = clock
        self.tell = tell
        self._read = count(1)
        self._to_read = 0
        self._found: set[tuple[str, str]] = set()
        self._closed: frozenset[own_scopes.Held] = frozenset()
        self._unlisted: frozenset[own_scopes.Held] = frozenset()
        """What sources that are not listed tonight were last found to hold."""
        self._finished: Mapping[unfinished.Key, Reading] = {}
        """Scopes that this run had read before its process died."""
        self._resumed: tuple[str, ...] = ()
        """Each time that this run was taken over after its process had died."""
        self.started = clock()
        self.as_of = as_of or self.started.replace(microsecond=0)
        self.run = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.slot = slot or self.run
        self.sources = tuple(source for source in programme.sources if not only or source.name in only)
        self.named: frozenset[str] = frozenset()
        """Further identities (uids) whose keys are called by their own ids, beside those that standing findings name so."""
        self.earlier: RunResult | None = None
        """The result of the slot's earlier run, when there is nothing to do."""
        self._only = tuple(only)
        self._open = ExitStack()
        unknown = set(only) - {source.name for source in programme.sources}
        if unknown:
            raise CountersignError(
                f"there is no source called {', '.join(sorted(unknown))}", fix=f"use one of: {', '.join(s.name for s in programme.sources)}"
            )

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(seldom_searched())
            self._signer = signer.load(self.programme.evidence.signer)
            self.state = stack.enter_context(State(self.programme.state))
            stack.enter_context(self.state.lock(f"reconcile {self.run} (pid {os.getpid()})", self.started))
            self.work = self.programme.folder / ".work"
            dead = self._to_take_over()
            self._seal_interrupted(but=dead)
            claim = self.state.claim_slot(
                self.run, customer=self.programme.customer, kind=KIND, slot=self.slot, as_of=self.as_of, now=self.started
            )
            self.run, self.as_of, self.started = claim.run.run, claim.run.as_of, claim.run.started
            if claim.outcome == "done":
                self.store.fetch(int(str(claim.run.evidence)))
                self.earlier = run_evidence.earlier(self.programme.evidence.store, claim.run)
            else:
                self.staging = stack.enter_context(self.store.adopt(self.run) if dead else self.store.stage(self.run))
                self.folder = self.staging.folder
                if dead:
                    self._finished, self._resumed = unfinished.take_over(self.work, self.folder, self.clock())
                    self.tell(f"taking over run {self.run}: {len(self._finished)} scopes were read before its process died")
                else:
                    unfinished.begin(self.work, self.run, self.started, self._under())
                stack.callback(shutil.rmtree, self.work, ignore_errors=True)
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if error is not None and self.earlier is None and self.staging.held:
                self._seal_failed(self.staging, self.run, self.slot, self.started, f"{type(error).__name__}: {error}")
                self._ask_for_timestamps()
        finally:
            self._open.close()

    @cached_property
    def desk(self) -> Desk:
        """The desk that the programme names."""
        return desk_of(self.programme, self.state.engine, self.clock)

    def scopes(self) -> tuple[tuple[Scope, ...], tuple[Reading, ...]]:
        """List the scopes to read, and readings for the sources that could not even list theirs."""
        found: list[Scope] = []
        lost: list[Reading] = []
        unlisted = {source.name for source in self.programme.sources}
        for source in self.sources:
            try:
                listed = connector(source.provider).scopes(source)
            except ReadError as error:
                lost.append(self.settle(Scope(source.name, source.provider, source.name), error))
                continue
            found += listed
            if source.provider != "files":
                own_scopes.remember(self._kept_of(source.name), {(s.provider, s.name) for s in listed} | own_scopes.closed(listed))
                unlisted.remove(source.name)
        self._to_read = len(found)
        self._found = {(scope.provider, scope.name) for scope in found if self._provider_of(scope) != "files"}
        self._closed = own_scopes.closed(found)
        self._unlisted = frozenset[own_scopes.Held]().union(*(own_scopes.recall(self._kept_of(name)) for name in unlisted))
        return tuple(found), tuple(lost)

    def read(self, scope: Scope) -> Reading:
        """Read one scope into the run's spool; raises ScopeDeniedError or ReadError, after which `settle` says so.

        A scope that this run had read before its process died is not read again.
        """
        earlier = self._finished.get(unfinished.key(scope))
        if earlier is not None:
            self.tell(f"had read {scope.provider} {scope.name}: {earlier.identities} identities", self._share())
            return earlier
        (source,) = (source for source in self.sources if source.name == scope.source)
        kept = self._kept_of(scope.source) / folder_name(f"{scope.provider}-{scope.name}")
        ask = needs_id(self.programme.register, self.as_of)
        named = self.state.named_keys() | self.named if source.provider == "aws" else frozenset[str]()
        request = ReadRequest(source=source, scope=scope, run=self.run, now=self.clock, needs_id=ask, named=named, kept=kept)
        observations = self.folder / unfinished.OBSERVATIONS
        reading = spool(connector(source.provider).read(request), scope, self.work, observations)
        unfinished.keep(self.work, reading, observations)
        self.tell(f"read {scope.provider} {scope.name}: {reading.identities} identities, {reading.credentials} credentials", self._share())
        return reading

    def settle(self, scope: Scope, error: BaseException) -> Reading:
        """Turn a scope that could not be read into a reading that says so."""
        denied = isinstance(error, ScopeDeniedError)
        operation = error.operation if isinstance(error, ReadError) else "read"
        message = error.message.removeprefix(f"{operation}: ") if isinstance(error, ReadError) else f"{type(error).__name__}: {error}"
        now = self.clock()
        self.tell(f"could not read {scope.provider} {scope.name}: {operation}: {message}", self._share())
        return unread(scope, "denied" if denied else "failed", operation, message, started=self.started, finished=now, work=self.work)

    def _kept_of(self, source: str) -> Path:
        return self.programme.folder / KEPT / folder_name(source)

    def _provider_of(self, scope: Scope) -> str:
        """Give the provider of the scope's source: an export's scope bears the provider that it is an export of."""
        return next(source.provider for source in self.sources if source.name == scope.source)

    def _share(self) -> float | None:
        return READING * min(1.0, next(self._read) / self._to_read) if self._to_read else None

    def facts(self, readings: Iterable[Reading]) -> tuple[tuple[Reading, ...], Path]:
        """Turn what was read into inventory and facts; returns the readings as they count, and the database of the facts."""
        inventory = self.folder / "inventory"
        live = claims(self.programme.sources) | self._found | self._unlisted
        settled = collect(readings, self.work, inventory, live=live)
        self.tell("working out the facts", READING)
        last = None if self._last_findings is None else self._last_findings.parent
        past = OnFile(state=self.plans, customer=self.programme.customer, store=self.past.folder, last=last)
        tables = (
            *register_tables(self.programme, self.as_of, self._found | self._closed | self._unlisted),
            *governance_tables(
                self.programme,
                self.as_of,
                runs=self.state.runs(),
                tickets=(row.key for row in self.state.tickets(self.desk.target) if row.ticket is not None and row.state != "closed"),
                undertaken=undertaken(self.plans),
                clocks=clocks_tonight(past, self.as_of, _seen(settled, self.programme.customer)),
                readings=settled,
                last=last,
            ),
        )
        write_register(tables, inventory)
        database = self.work / "run.duckdb"
        build(database, inventory, tables, settled, last=last)
        keep_history(database, inventory)
        return settled, database

    def judge(self, readings: Iterable[Reading]) -> Judged:
        """Turn what was read into inventory, facts and verdicts; raises NotJudgedError, and then there is no verdict at all."""
        settled, database = self.facts(readings)
        self.tell("judging", READING)
        judgement = judge(database, expectations(), settled)
        verdicts.write(self.folder / verdicts.NAME, database, expectations())
        run_files.write_register(self.folder, self.programme.register)
        run_files.write_json(self.folder / "expectations" / "suite.json", judgement.validated.suite)
        run_files.write_json(self.folder / "expectations" / "validation.json", judgement.validated.result)
        return Judged(settled, judgement, database)

    def plan(self, judged: Judged) -> Planned:
        """Decide what changes in the ledger and at the desk; writes only into the staged evidence."""
        self.tell("planning tickets", 0.85)
        known = self.state.known()
        standing = [row for row in known.values() if row.state != "resolved"]
        failing = findings_file.failing(judged.database, self.programme.register, standing)
        unknown = findings_file.unknown(judged.database, standing, judged.judgement.unclear)
        seen = _seen(judged.readings, self.programme.customer)
        controls = frozenset(result.id for result in judged.judgement.results)
        found = tuple(life(known, failing, unknown=unknown, seen=seen, judged=controls, as_of=self.as_of))
        declined: frozenset[str] = frozenset()
        try:
            declined = outbox.reread(self.desk, self.state)
        except DeskError as error:
            # What people closed since is not known then; that the desk is away stops no finding from being put on file.
            self.tell(f"could not ask the desk what people closed: {error.message}")
        tickets = self.state.tickets(self.desk.target)
        night = Night(
            customer=self.programme.customer,
            as_of=self.as_of,
            budget=self.programme.limits.tickets_per_run,
            titles={record.id: record.title for record in expectations()},
            declined=declined,
        )
        stopped = self._guard(known, found)
        if stopped is None:
            planned = Planned(found, tuple(plan([t.after for t in found], tickets, seen, night)), None)
        else:
            planned = Planned((), (scan_looks_wrong(stopped, tickets, night),), stopped)
        # What was found is on file also when nothing comes of it: somebody has to look into it.
        joins = {fingerprint: action.key for action in planned.actions for fingerprint in action.joins}
        findings_file.write(self.folder / findings_file.NAME, judged.database, found, self._last_findings, joins)
        planned = replace(planned, actions=self._worded(planned.actions))
        run_files.write(
            self.folder,
            self.programme,
            run=self.run,
            as_of=self.as_of,
            readings=judged.readings,
            judgement=judged.judgement,
            found=found,
            planned=planned,
        )
        return planned

    def _worded(self, actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Put the tickets into words, with the facts of the findings that they write out."""
        sources = Sources(
            records={record.id: record for record in expectations()},
            people={person.id: person.name for person in self.programme.register.people.values()},
            facts=findings_file.said_of(self.folder / findings_file.NAME, shown(actions)),
        )
        return tuple(action if action.draft is None else replace(action, draft=worded(action.draft, sources)) for action in actions)

    def act(self, planned: Planned) -> tuple[Receipt, ...]:
        """Seal the intent, write the ledger and claim the tickets in one transaction, then write to the desk."""
        self.tell("writing tickets", 0.9)
        intent = self.store.seal_intent(self.staging, self._statement(KIND, {"intent": "what plan.json lists"}), self._signer)
        self.state.apply(self.run, planned.transitions, at=self.as_of, target=self.desk.target, actions=planned.actions)
        evidence = f"run {self.run}"
        return outbox.carry_out(
            planned.actions, self.desk, self.state, as_of=self.as_of, clock=self.clock, evidence=evidence, digest=intent
        )

    def record(self, judged: Judged, planned: Planned, receipts: Sequence[Receipt]) -> RunResult:
        """Seal the run into the chain and say what it came to."""
        self.tell("sealing the evidence", 0.95)
        state = state_of(judged.readings)
        tickets = dict.fromkeys(("created", "updated", "closed", "reopened", "unchanged", "rolled-up", "failed"), 0)
        for receipt in receipts:
            tickets[receipt.action] += 1
        run_files.write_json(
            self.folder / "tickets.json", [{"key": r.key, "ticket": r.ticket, "action": r.action, "error": r.error} for r in receipts]
        )
        findings = {name: count for name, count in self.state.summary(self.run).items() if name in SUMMARY}
        said = run_evidence.settled(judged.readings, judged.judgement.results, findings, tickets, planned.stopped)
        sealed = self.store.seal(self.staging, self._statement(KIND, said), self._signer)
        self.state.finish_run(self.run, state, now=self.clock(), evidence=sealed.path.name, statement_digest=sealed.statement_digest)
        self.sealed = sealed.path
        self._ask_for_timestamps()
        return RunResult(
            run=self.run,
            kind=KIND,
            slot=self.slot,
            state=state,
            as_of=self.as_of,
            evidence=sealed.path,
            statement_digest=sealed.statement_digest,
            sources=results.sources(judged.readings),
            controls=results.controls(judged.judgement.results),
            findings=findings,
            tickets=tickets,
            guard=planned.stopped,
            errors=tuple(f"{receipt.key}: {receipt.error}" for receipt in receipts if receipt.action == "failed"),
        )

    def _guard(self, known: Mapping[str, Known], transitions: Sequence[Transition]) -> str | None:
        # Clocks run over by themselves, and one leaver is in every entry of the register: neither says anything about tonight's scan.
        scanned = [transition for transition in transitions if transition.after.provider not in _NOT_SCANNED]
        kinds = Counter(transition.kind for transition in scanned)
        limits = self.programme.limits
        met = {(row.provider, row.scope) for row in known.values()}
        return guard(
            # A scope read for the first time may find anything, like the first run ever.
            new=sum(t.kind == "new" and (t.after.provider, t.after.scope) in met for t in scanned),
            gone=kinds["resolved"],
            open_before=sum(row.state != "resolved" and row.provider not in _NOT_SCANNED for row in known.values()),
            total=sum(count for kind, count in kinds.items() if kind not in ("resolved", "unobserved")),
            max_new_share=limits.max_new_share,
            max_gone_share=limits.max_gone_share,
            first_run=not known,
        )

    def _statement(self, kind: str, said: Mapping[str, object]) -> Callable[[Log], dict[str, object]]:
        def build_statement(log: Log) -> dict[str, object]:
            finished = self.clock()
            kept: dict[str, object] = {"retainUntil": stamp(retain_until(self.programme, finished))}
            if log.sequence is not None:
                kept |= timestamps.said(self.store, self.programme.evidence.timestamps, finished)
            return statement.build(
                run=self.run,
                kind=kind,
                slot=self.slot,
                started=self.started,
                finished=finished,
                subjects=log.subjects,
                predicate_extra={**self._under(), **said, **kept, **({"resumed": list(self._resumed)} if self._resumed else {})},
                log=log.entry(),
            )

        return build_statement

    def _ask_for_timestamps(self) -> None:
        """Ask for what is missing, of this entry and of earlier ones; the run is sealed, whatever comes of it."""
        config = self.programme.evidence.timestamps
        if config is None:
            return
        try:
            timestamps.stamp(self.store, config, now=self.clock, tell=self.tell)
        except EvidenceError as error:
            self.tell(f"no timestamps were asked for: {error.message}")

    def _under(self, as_of: datetime | None = None) -> dict[str, object]:
        return run_evidence.about(self.programme, as_of or self.as_of, self._only)

    def _to_take_over(self) -> str | None:
        """Name the dead run of this slot that had not come further than judging; None where there is none to take over."""
        dead = self.state.running(self.programme.customer, KIND, self.slot)
        staged = {} if dead is None else {folder.name: folder for folder in self.store.interrupted()}
        if dead is None or dead.run not in staged:
            return None
        under = run_evidence.about(self.programme, dead.as_of, self._only)
        return dead.run if unfinished.can_be_taken_over(self.work, staged[dead.run], dead.run, self.started, under) else None

    def _seal_interrupted(self, but: str | None) -> None:
        """Put what dead runs left behind into the chain, as failed entries, before this run adds its own."""
        known = {run.run: run for run in self.state.runs()}
        for folder in self.store.interrupted():
            if folder.name == but:
                continue
            with self.store.adopt(folder.name) as staging:
                dead = known.get(folder.name)
                began = datetime.fromtimestamp(folder.stat().st_mtime, UTC) if dead is None else dead.started
                self._seal_failed(
                    staging,
                    folder.name,
                    None if dead is None else dead.slot,
                    min(began, self.started),
                    "interrupted: the process died before it sealed the run",
                    # The night that it was for, not tonight's: its failure explains that one.
                    as_of=None if dead is None else dead.as_of,
                )
        self._say_what_was_sealed({run.run: run for run in self.state.runs() if run.state == "running" and run.run != but})

    def _say_what_was_sealed(self, running: dict[str, Run]) -> None:
        """End those runs in the state that died between sealing and saying so; other entries may have followed since."""
        head = self.store.head() if running else None
        for number in range(0 if head is None else head.sequence, 0, -1):
            folder = self.store.folder / run_folder(number)
            said = statement.read(folder / STATEMENT)
            run = running.pop(said.run, None) if said.kind != "failed" else None
            if run is not None:
                ended = said.predicate["state"]
                self.state.finish_run(run.run, ended, now=self.started, evidence=folder.name, statement_digest=said.digest)
            began = min((run.started for run in running.values()), default=None)
            if began is None or instant(said.predicate["finished"]) < began - timedelta(days=1):
                break

    def _seal_failed(  # noqa: PLR0913, PLR0917 - what is known of a run that failed, tonight's or an earlier one
        self, staging: Staging, run: str, slot: str | None, began: datetime, why: str, as_of: datetime | None = None
    ) -> None:
        run_files.write_json(staging.folder / "failure.json", {"run": run, "why": why, "at": stamp(self.clock())})

        def build_statement(log: Log) -> dict[str, object]:
            finished = self.clock()
            kept: dict[str, object] = {"retainUntil": stamp(retain_until(self.programme, finished))}
            kept |= timestamps.said(self.store, self.programme.evidence.timestamps, finished)
            return statement.build(
                run=run,
                kind="failed",
                slot=slot,
                started=began,
                finished=finished,
                subjects=log.subjects,
                predicate_extra=self._under(as_of) | {"state": "failed", "error": why} | kept,
                log=log.entry(),
            )

        sealed = self.store.seal(staging, build_statement, self._signer)
        self.tell(f"run {run} failed and is on file as {sealed.path.name}: {why}")
        if any(row.run == run for row in self.state.runs()):
            self.state.finish_run(run, "failed", now=self.clock(), evidence=sealed.path.name, statement_digest=sealed.statement_digest)

    @cached_property
    def _last_findings(self) -> Path | None:
        """The findings of the last judged run, which tonight's go on from; None: there is no such run, or none whose files are left."""
        for run in self.state.runs():
            if run.evidence is None:
                continue
            folder = self.past.fetch(int(run.evidence))
            if (folder / findings_file.NAME).exists():
                return folder / findings_file.NAME
            if findings_file.NAME in statement.read(folder / STATEMENT).subjects:
                self.tell(f"cannot go on from run {run.run}: {ledger.why_missing(folder, findings_file.NAME)}")
        return None


def reconcile(  # noqa: PLR0913 - what a run may be told, all optional
    programme: Programme,
    as_of: datetime | None = None,
    *,
    slot: str | None = None,
    only: Sequence[str] = (),
    tell: Tell = silent,
    after: Callable[[Reconciliation, Judged], object] | None = None,
) -> RunResult:
    """Run one night here and now, reading scopes in a few threads; the same as the flow, without Prefect.

    `after` is called once the run is sealed, with what was read and judged still at hand; not where the guard stopped it.
    Raises CountersignError when the run cannot start or cannot be judged; what was read is then sealed as a failed entry.
    """
    with Reconciliation(programme, as_of=as_of, slot=slot, only=only, tell=tell) as run:
        if run.earlier is not None:
            return run.earlier
        judged = run.judge(read_all(run))
        planned = run.plan(judged)
        result = run.record(judged, planned, run.act(planned))
        if after is not None and planned.stopped is None:
            after(run, judged)
        return result


def read_all(run: Reconciliation) -> tuple[Reading, ...]:
    """Read every scope in a few threads; a scope that cannot be read becomes a reading that says so."""
    scopes, lost = run.scopes()

    def read(scope: Scope) -> Reading:
        try:
            return run.read(scope)
        except Exception as error:  # noqa: BLE001 - whatever one source does, the others go on
            return run.settle(scope, error)

    with ThreadPoolExecutor(THREADS) as pool:
        return (*lost, *pool.map(read, scopes))


def _seen(readings: Iterable[Reading], customer: str) -> Seen:
    """Say what was read; the register and the ledger always are.

    A source's own scope is seen: that it could not be read is what was found out.

    Not so where the source could not say which scopes it has: what was not read of them is still open.

    A listing that is missing hides the kinds that it lists; anything else that is missing may hide anything in its scope. Exports list
    what their files list and no more: a file that is broken tonight, or was not exported again, closes nothing.
    """
    found: dict[tuple[str, str], frozenset[str]] = {("register", customer): frozenset(), ("ledger", customer): frozenset()}
    for reading in readings:
        if reading.scope.name != reading.scope.source or reading.state in {"complete", "partial"}:
            found[reading.scope.provider, findings_file.source_scope(reading.scope.source)] = frozenset()
        missing = [row.covers for row in reading.coverage if row.state != "complete"]
        if reading.state in {"complete", "partial"} and all(missing) and not reading.passed_over:
            hidden = frozenset(kind for covers in missing for kind in covers)
            if any(row.operation.startswith(EXPORT) for row in reading.coverage):
                listed = frozenset(kind for row in reading.coverage if row.state == "complete" for kind in row.covers)
                hidden = AllBut(listed - hidden)
            found[reading.scope.provider, reading.scope.name] = hidden
    return found
