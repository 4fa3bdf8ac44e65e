"""Plans on file: each sealed in the ledger and then written into a folder of its own, with the approvals of it beside."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign import entry
from countersign.approval import ApprovalError, read_statement
from countersign.clock import stamp
from countersign.document import shown
from countersign.evidence import statement
from countersign.evidence.staged import sync
from countersign.evidence.verify import STATEMENT
from countersign.offboarding import journal
from countersign.offboarding.plan import Plan, PlanError, read
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from countersign.approval import Statement
    from countersign.evidence.store import Sealed
    from countersign.programme import Programme

FOLDER = "offboarding"
FILE = "plan.json"
APPROVALS = "approvals"
KIND = "offboard-plan"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}", re.ASCII)
_MOST_BYTES = 1_000_000
"""Of an approval; what is larger is none."""


@dataclass(frozen=True, slots=True)
class OnFile:
    """An approval as it lies beside its plan; whether it holds is not said here."""

    name: str
    """Of the files, without their endings."""
    statement: bytes
    signature: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 (hex) of the statement."""
        return hashlib.sha256(self.statement).hexdigest()

    def said(self) -> Statement | None:
        """Return what it says; None: it is no statement."""
        try:
            return read_statement(self.statement)
        except ApprovalError:
            return None


@dataclass(frozen=True, slots=True)
class Held:
    """An entry of the ledger that is about an offboarding."""

    sealed: Sealed
    kind: str
    said: Mapping[str, Any]
    """The predicate of its statement."""


def keep(programme: Programme, plan: Plan, *, clock: Callable[[], datetime]) -> Path:
    """Seal a plan, write it into its folder, and put it in the journal, where it takes the place of older ones of the same question.

    Returns the file. A plan that is on file already, to the byte, is left as it is. Raises PlanError where another has its id,
    EvidenceError where it cannot be sealed: then nothing was written.
    """
    if plan.customer != programme.customer:
        raise PlanError("the plan is for another customer", fix="make it with this programme")
    journal.check_distinct(plan)
    document, folder = plan.document(), programme.folder / FOLDER / _name(plan.id)
    path = folder / FILE
    if path.exists() and path.read_bytes() != document:
        raise PlanError(f"there is another plan called {plan.id}", fix="make the plan again: it gets an id of its own")
    if sealed_as(programme, KIND, "digest", plan.digest()) is None:
        said = {
            "partner": plan.asked.partner, "plan": plan.id, "digest": plan.digest(), "phase": plan.asked.phase,
            "trigger": plan.asked.trigger, "requestedBy": plan.asked.requested_by, "steps": len(plan.steps), "left": len(plan.left),
            "undecided": len(plan.undecided), "unread": len(plan.unread), "emergency": plan.asked.emergency,
            "follows": plan.asked.follows, "madeAt": stamp(plan.made_at),
        }  # fmt: skip
        entry.seal(programme, KIND, {FILE: document}, said, clock=clock)
    try:
        (folder / APPROVALS).mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (folder.parent, folder):
            each.chmod(0o700)
        write(path, document)
    except OSError as error:
        fix = f"make {folder} writable; the plan itself is sealed in the ledger"
        raise PlanError(f"the plan cannot be written: {error.strerror}", fix=fix) from error
    with State(programme.state) as state:
        journal.Journal(state.engine).planned(plan)
    return path


def plans(programme: Programme) -> tuple[Plan, ...]:
    """Return the plans on file, oldest first; a folder without one is passed over. Raises PlanError for one that was changed."""
    files = (programme.folder / FOLDER).glob(f"*/{FILE}")
    found = [_read(path) for path in files if _ID.fullmatch(path.parent.name)]
    return tuple(sorted(found, key=lambda plan: (plan.made_at, plan.id)))


def find(programme: Programme, name: str) -> Plan:
    """Return the plan of an id, or of a path (its file or its folder). Raises PlanError, also for one that was never sealed."""
    if _ID.fullmatch(name) and (programme.folder / FOLDER / name / FILE).is_file():
        path = programme.folder / FOLDER / name / FILE
    elif "\0" not in name and len(name) < os.pathconf("/", "PC_PATH_MAX") and os.path.lexists(name):
        path = Path(name) / FILE if Path(name).is_dir() else Path(name)
    else:
        raise PlanError(f"there is no plan {shown(name)}", fix="`countersign offboard status --all` lists the plans on file")
    plan = _read(path)
    check_sealed(programme, plan, ledger(programme))
    return plan


def check_sealed(programme: Programme, plan: Plan, held: tuple[Held, ...]) -> None:
    """Refuse (PlanError) a plan that is another customer's, or that the ledger (`held`) does not hold to the byte."""
    if plan.customer != programme.customer:
        raise PlanError(f"plan {plan.id} is for another customer, {shown(plan.customer)}", fix="use it with that customer's programme")
    if latest(held, KIND, "digest", plan.digest()) is None:
        raise PlanError(f"plan {plan.id} was never sealed, so nobody can say who made it", fix="make it with `countersign offboard plan`")


def approvals(programme: Programme, plan: Plan) -> tuple[OnFile, ...]:
    """Return the approvals that lie beside a plan, by name; a statement without a signature is passed over.

    They are as somebody put them there: whether one holds is the verifier's to say.
    """
    found = []
    for path in sorted((programme.folder / FOLDER / _name(plan.id) / APPROVALS).glob("*.json")):
        said, signed = _small(path), _small(path.with_suffix(".sig"))
        if said is not None and signed is not None:
            found.append(OnFile(path.stem, said, signed.decode(errors="replace")))
    return tuple(found)


def take(programme: Programme, plan: Plan, file: Path) -> Path:
    """Copy an approval that lies elsewhere, a statement with its `.sig` beside it, to its plan; returns the copy of the statement.

    Nothing of it is checked but that both are there; the copy is named by its content. Raises PlanError.
    """
    said, signed = _small(file), _small(file.with_suffix(".sig"))
    home = programme.folder / FOLDER / _name(plan.id) / APPROVALS
    if said is None or signed is None:
        raise PlanError(
            f"{shown(str(file))} is no statement with a signature beside it", fix="give STATEMENT.json, and put STATEMENT.sig beside"
        )
    name = f"taken-{hashlib.sha256(said + signed).hexdigest()[:16]}"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(home / f"{name}.sig", signed)
        write(home / f"{name}.json", said)
    except OSError as error:
        raise PlanError(f"the approval cannot be written: {error.strerror}", fix=f"make {home} writable") from error
    return home / f"{name}.json"


def ledger(programme: Programme) -> tuple[Held, ...]:
    """Return what the ledger holds of offboardings, latest first; signatures are `countersign verify`'s to check. Raises EvidenceError."""
    found = []
    for sealed in entry.open_store(programme).entries():
        said = statement.read(sealed.path / STATEMENT)
        if said.kind.startswith("offboard"):
            found.append(Held(sealed, said.kind, said.predicate))
    return tuple(reversed(found))


def latest(held: Iterable[Held], kind: str, name: str, value: str) -> Held | None:
    """Return the latest entry of a kind whose statement says `value` under `name`; None: there is none."""
    return next((each for each in held if each.kind == kind and each.said.get(name) == value), None)


def sealed_as(programme: Programme, kind: str, name: str, value: str) -> Sealed | None:
    """Return the latest entry of a kind whose statement says `value` under `name`; None: there is none. Raises EvidenceError."""
    held = latest(ledger(programme), kind, name, value)
    return None if held is None else held.sealed


def proofs(found: tuple[OnFile, ...], digests: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Yield the files (path in an entry, content) of the approvals with these digests."""
    for number, each in enumerate(each for each in found if each.digest in digests):
        yield f"{APPROVALS}/{number + 1}.json", each.statement
        yield f"{APPROVALS}/{number + 1}.sig", each.signature.encode()


def _name(plan_id: str) -> str:
    if _ID.fullmatch(plan_id) is None:
        raise PlanError(f"{shown(plan_id)} is no name of a plan", fix="use a plan as `countersign offboard plan` wrote it")
    return plan_id


def _read(path: Path) -> Plan:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read()
    except OSError as error:
        raise PlanError(f"{path} cannot be read: {error.strerror}", fix="name a plan on file") from error
    return read(data, shown(str(path)))


def _small(path: Path) -> bytes | None:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return None
    return data if len(data) <= _MOST_BYTES else None


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner only."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync(path.parent)
