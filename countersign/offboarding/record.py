"""What was done about a plan, gathered for its certificate: the journal's steps, the approvals as sealed, the ledger's entries."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from countersign import entry
from countersign.approval import read_statement, sshsig
from countersign.clock import instant, stamp
from countersign.errors import CountersignError
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, STEPS, run_folder
from countersign.offboarding.folder import APPROVALS
from countersign.offboarding.journal import Journal
from countersign.revocation import Tried
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from countersign.offboarding.journal import Debt, Run, Step
    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme


class CertificateError(CountersignError):
    """A certificate cannot be made of what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """One approval that was used."""

    approver: str
    """Id of a person of the customer's."""
    kind: Literal["ssh", "ticket", "commit"]
    digest: str | None
    """SHA-256 (hex) of what they gave; None: several were given and nobody wrote down which was theirs."""
    key: str | None
    """Fingerprint (`SHA256:...`) of the key that signed; None: none did."""
    issued: str | None
    """When, in the statement's own words; None: it says nothing of it."""
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the ledger that the certificate rests on."""

    kind: str
    run: str
    sequence: int
    statement: str
    """Digest, `sha256:...`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was done about a plan, as the journal and the ledger have it."""

    steps: Mapping[str, Step]
    """By `Change.id`."""
    steps_file: bytes | None
    """steps.json as the last run sealed it; None: nothing was applied."""
    approvals: tuple[Approved, ...] = ()
    approved_at: datetime | None = None
    """When the approval of the first run was given (UTC); None: there was none, or it does not say."""
    begun_at: datetime | None = None
    triggered_at: datetime | None = None
    """When there was reason to act, such as the end of the contract (UTC); None: not known."""
    broken_glass: Debt | None = None
    entries: tuple[Entry, ...] = ()


def gather(programme: Programme, plan: Plan) -> Record:
    """Gather what was done about a plan from the journal, the ledger, and the approvals on file. Raises EvidenceError, PlanError."""
    with State(programme.state) as state:
        journal = Journal(state.engine)
        steps, runs, used = journal.steps(plan.id), journal.runs(plan.id), frozenset(journal.used_by(plan.id))
        glass = next((debt for debt in journal.debts() if debt.plan == plan.id), None)
    approvers = dict.fromkeys(who for run in runs for who in run.approvers)
    approvers |= dict.fromkeys(glass.settled_by if glass is not None else ())
    first, entries = runs[0] if runs else None, tuple(_entries(programme, plan))
    return Record(
        steps=steps,
        steps_file=_steps_file(programme, runs),
        approvals=tuple(_approvals(programme, plan, entries, used, tuple(approvers))),
        approved_at=None if first is None or first.broken_glass is not None else first.approved_at,
        begun_at=None if first is None else first.began_at,
        triggered_at=_triggered(plan),
        broken_glass=glass,
        entries=entries,
    )


def attempts_on_record(programme: Programme, plan: Plan) -> tuple[tuple[str, Tried, datetime], ...]:
    """Return what came of the old credentials that were tried when the plan was applied: uid, what, when (UTC). Raises as `gather` does."""
    with State(programme.state) as state:
        content = _steps_file(programme, Journal(state.engine).runs(plan.id))
    try:
        rows = [] if content is None else json.loads(content)["attempts"]
        return tuple((row["uid"], Tried(row["refused"], row["call"], row["said"]), instant(row["at"])) for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateError(f"{STEPS} of plan {plan.id} cannot be read", fix="verify with the version that applied it") from error


def _approvals(
    programme: Programme, plan: Plan, entries: Sequence[Entry], used: frozenset[str], approvers: Sequence[str]
) -> Iterator[Approved]:
    """Yield one approval for each approver, from the proofs that were sealed with what was begun by them."""
    told: set[str] = set()
    for each in entries:
        for name, content, signature in _proofs(programme, each):
            found = _ticket(programme, plan, content) if signature is None else _signed(name, content, signature)
            if found is not None and found.digest in used and found.approver in approvers and found.approver not in told:
                told.add(found.approver)
                yield found
    for who in approvers:
        if who not in told:
            yield Approved(approver=who, kind="ticket", digest=None, key=None, issued=None, reason=None)


def _proofs(programme: Programme, each: Entry) -> Iterator[tuple[str, bytes, str | None]]:
    """Yield the proofs of approvals in an entry: name, content, and the signature over it where there is one."""
    folder = entry.open_store(programme).fetch(each.sequence)
    listed = statement.read(folder / STATEMENT).subjects
    for name in sorted(listed):
        if name.startswith(f"{APPROVALS}/") and name.endswith(".json"):
            signed = f"{name.removesuffix('.json')}.sig"
            signature = _sealed(folder, signed, listed).decode(errors="replace") if signed in listed else None
            yield name.removeprefix(f"{APPROVALS}/"), _sealed(folder, name, listed), signature


def _signed(name: str, content: bytes, signature: str) -> Approved:
    said = read_statement(content)
    issued = stamp(said.issued) if isinstance(said.issued, datetime) else said.issued.isoformat()
    return Approved(
        approver=said.approver, kind="commit" if name.startswith("commit-") else "ssh", digest=hashlib.sha256(content).hexdigest(),
        key=fingerprint(signature), issued=issued, reason=said.reason,
    )  # fmt: skip


def _ticket(programme: Programme, plan: Plan, content: bytes) -> Approved | None:
    """Read a ticket's change of state as it was sealed; its digest is made as the decision made it."""
    said = json.loads(content)
    who = [person.id for person in programme.register.people.values() if person.accounts.get(said["desk"]) == said["actor"]]
    parts = [plan.digest(), said["desk"], said["ticket"], said["actor"], said["at"], said["becomes"]]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    reason = f"ticket {said['ticket']} of {said['desk']}: {said['was']} became {said['becomes']}"
    if len(who) != 1:
        return None
    return Approved(approver=who[0], kind="ticket", digest=digest, key=None, issued=said["at"], reason=reason)


def fingerprint(signature: str) -> str:
    """Return the fingerprint of the key in the text of a `.sig` file, as `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(sshsig.read(signature).key).digest()).decode().rstrip("=")


def _steps_file(programme: Programme, runs: Sequence[Run]) -> bytes | None:
    """Return steps.json of the last run that is in the ledger, held against its statement."""
    sealed = [run.sequence for run in runs if run.sequence is not None]
    if not sealed:
        return None
    folder = entry.open_store(programme).fetch(sealed[-1])
    return _sealed(folder, STEPS, statement.read(folder / STATEMENT).subjects)


def _sealed(folder: Path, name: str, listed: Mapping[str, str]) -> bytes:
    """Return a file of an entry, held against its statement."""
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise CertificateError(f"{folder.name}/{name} cannot be read: {error.strerror}", fix="countersign evidence list") from error
    if listed.get(name) != hashlib.sha256(content).hexdigest():
        raise CertificateError(f"{folder.name}/{name} is not the file that was sealed", fix="countersign verify shows what was changed")
    return content


def _entries(programme: Programme, plan: Plan) -> Iterator[Entry]:
    store = entry.open_store(programme)
    for sealed in store.entries():
        said = statement.read(store.folder / run_folder(sealed.sequence) / STATEMENT)
        if said.predicate.get("plan") == plan.id and said.predicate.get("digest") == plan.digest() and "certificate" not in said.predicate:
            yield Entry(kind=said.kind, run=said.run, sequence=sealed.sequence, statement=sealed.statement_digest)


def _triggered(plan: Plan) -> datetime | None:
    try:
        return instant(str(plan.context["triggered_at"]))
    except (KeyError, ValueError):
        return None
