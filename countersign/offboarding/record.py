"""What was done about a plan, gathered for its certificate: the journal's steps, the approvals that were used, the ledger's entries."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from countersign import entry
from countersign.approval import read_statement, sshsig
from countersign.approval.proofs import CommitProof, Unproved
from countersign.clock import instant, stamp
from countersign.errors import CountersignError
from countersign.evidence import statement
from countersign.evidence.verify import STATEMENT, STEPS, run_folder
from countersign.offboarding.approvals import given
from countersign.offboarding.journal import Journal
from countersign.revocation import Tried
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from countersign.approval.proofs import SignatureProof
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
    first = runs[0] if runs else None
    return Record(
        steps=steps,
        steps_file=_steps_file(programme, runs),
        approvals=tuple(_approved(given(programme, plan), used, tuple(approvers))),
        approved_at=None if first is None or first.broken_glass is not None else first.approved_at,
        begun_at=None if first is None else first.began_at,
        triggered_at=_triggered(plan),
        broken_glass=glass,
        entries=tuple(_entries(programme, plan)),
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


def _approved(
    proofs: Sequence[SignatureProof | CommitProof | Unproved], used: frozenset[str], approvers: Sequence[str]
) -> Iterator[Approved]:
    """Yield one approval for each approver: their signed statement where there is one on file, else what else was used."""
    left, told = set(used), set()
    for proof in proofs:
        if isinstance(proof, Unproved) or hashlib.sha256(proof.statement).hexdigest() not in left:
            continue
        said, digest = read_statement(proof.statement), hashlib.sha256(proof.statement).hexdigest()
        if said.approver in approvers and said.approver not in told:
            left.discard(digest)
            told.add(said.approver)
            yield Approved(
                approver=said.approver, kind="commit" if isinstance(proof, CommitProof) else "ssh", digest=digest,
                key=fingerprint(proof.signature), issued=_issued(said.issued), reason=said.reason,
            )  # fmt: skip
    others = [who for who in approvers if who not in told]
    for who in others:
        # The journal does not say whose digest is whose, so it is told only where it can be one alone.
        digest_of = next(iter(left)) if len(others) == 1 and len(left) == 1 else None
        yield Approved(approver=who, kind="ticket", digest=digest_of, key=None, issued=None, reason=None)


def _issued(when: date | datetime) -> str:
    return stamp(when) if isinstance(when, datetime) else when.isoformat()


def fingerprint(signature: str) -> str:
    """Return the fingerprint of the key in the text of a `.sig` file, as `ssh-keygen -l` shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(sshsig.read(signature).key).digest()).decode().rstrip("=")


def _steps_file(programme: Programme, runs: Sequence[Run]) -> bytes | None:
    """Return steps.json of the last run that is in the ledger, held against its statement."""
    sealed = [run.sequence for run in runs if run.sequence is not None]
    if not sealed:
        return None
    folder = entry.open_store(programme).fetch(sealed[-1])
    try:
        content = (folder / STEPS).read_bytes()
    except OSError as error:
        raise CertificateError(f"{folder.name}/{STEPS} cannot be read: {error.strerror}", fix="countersign evidence list") from error
    if statement.read(folder / STATEMENT).subjects.get(STEPS) != hashlib.sha256(content).hexdigest():
        raise CertificateError(f"{folder.name}/{STEPS} is not the file that was sealed", fix="countersign verify shows what was changed")
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
