"""The drill of exceptions: on a copy of the register, a finding is accepted as it has to be, refused as it has to be, and comes back."""

from __future__ import annotations

import json
import secrets as chance
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from countersign.canary import PARTNER, PREFIX
from countersign.clock import stamp
from countersign.drill import outcome, record
from countersign.drill.impostors import Stand
from countersign.drill.record import Timed
from countersign.drill.scopes import DrillError, DrillFailedError, partner, why_of
from countersign.evidence import signer
from countersign.finding import fingerprint
from countersign.offboarding import process
from countersign.programme import FILE, load
from countersign.reconciliation import reconcile
from countersign.register import exception_file
from countersign.register.exceptions import approvers, standing, statement
from countersign.register.records import RegisteredException
from countersign.results import silent
from countersign.state import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from countersign.drill.outcome import Result
    from countersign.finding import Known
    from countersign.programme import Programme
    from countersign.register.records import Register
    from countersign.results import Tell

PATH: outcome.Drilled = "exception"
ACCOUNT = "000000000000"
"""An account that is nobody's, in an export that is written for the drill."""
NAME = f"{PREFIX}exception"
_SIGNERS = "allowed_signers"


def drill(programme: Programme, *, clock: Callable[[], datetime] = process.now, tell: Tell = silent) -> Result:
    """Walk the way once, in a folder that is gone afterwards, and seal what came of it; nothing is asked of any provider.

    The register is the customer's, its people and rules too; keys made for the drill stand in for theirs. Raises DrillError where none
    can begin, EvidenceError where it cannot be sealed; whatever else fails is in the result.
    """
    if PARTNER in programme.register.partners:
        raise DrillError(f"the register has a partner called {PARTNER}, which stands for drills", fix="give that partner another id")
    with record.alone(programme), tempfile.TemporaryDirectory(prefix="countersign-drill-") as folder:
        outcome.put_on_file(programme)
        run = _Run(programme, Path(folder), clock, tell)
        why = None
        began = clock()
        try:
            run.walk()
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the drill failed and says why
            why = why_of(error)
            run.fail(why)
        name = f"{began:%y%m%d}{chance.token_hex(3)}"
        return outcome.seal(programme, PATH, name, began, run.steps, run.said, why, clock=clock)


@dataclass(slots=True)
class _Run:
    """One drill."""

    programme: Programme
    folder: Path
    clock: Callable[[], datetime]
    tell: Tell
    steps: list[Timed] = field(default_factory=list)
    said: dict[str, Any] = field(default_factory=dict)

    def walk(self) -> None:
        """Find, request, refuse, approve, accept, expire. Raises DrillFailedError."""
        now = self.clock().replace(microsecond=0)
        owner, robot, stranger = Stand(), Stand(), Stand()
        with _Step(self, "find"):
            copied = copy(self.programme, self.folder, now)
            first = self._chosen(_judged(copied, now), copied.register, now)
            self.said |= {"control": first.control, "subject": first.subject, "findings": 1}
        today = copied.register.today(now)
        with _Step(self, "request"):
            asked = _asked(copied.register, self.folder, first, today)
            exception_file.create(_path(self.folder, asked), exception_file.text_of(asked))
            held = load(self.folder).register
            self._demand("a request by itself excepts nothing", standing(held, asked, today).state == "requested")
            (person, *_) = approvers(held, asked, today)[0]
            self.said |= {"approver": person, "signed": "with a key made for the drill"}
        with _Step(self, "refuse"):
            (self.folder / "register" / _SIGNERS).write_text(owner.line(person) + robot.line(f"{PARTNER}/robot"), encoding="utf-8")
            held = load(self.folder).register
            self.said["refusals"] = [
                {"given": given, "refused": self._refused(held, given, entry, stand, today)}
                for given, entry, stand in (
                    ("by who requested it", asked.model_copy(update={"requested_by": person, "approved_by": person}), owner),
                    ("by the partner", asked.model_copy(update={"approved_by": f"{PARTNER}/robot"}), robot),
                    ("unsigned", asked.model_copy(update={"approved_by": person}), None),
                    ("signed by somebody else's key", asked.model_copy(update={"approved_by": person}), stranger),
                )
            ]
        with _Step(self, "approve"):
            approved = asked.model_copy(update={"approved_by": person, "approved_on": today, "approval": f"{asked.exception}.sig"})
            signature = owner.sign(statement(held, asked, person, today).message())
            exception_file.replace(_path(self.folder, asked).with_name(str(approved.approval)), signature)
            fields = {"approved_by": person, "approved_on": str(today), "approval": approved.approval}
            path = _path(self.folder, asked)
            exception_file.replace(path, exception_file.changed(exception_file.read(path), fields, approved))
            now_held = standing(load(self.folder).register, approved, today)
            self._demand(f"a proper approval is accepted: {now_held.why}", now_held.state == "approved")
        with _Step(self, "accept"):
            second = _of(_judged(load(self.folder), now + timedelta(minutes=1)), first)
            self._demand(
                "the finding is excepted until the exception ends", second.state == "excepted" and second.excepted_until is not None
            )
            self.said["excepted_until"] = None if second.excepted_until is None else stamp(second.excepted_until)
        with _Step(self, "expire"):
            third = _of(_judged(load(self.folder), held.end_of(asked.expires) + timedelta(hours=1)), first)
            self._demand("the finding is open again after the exception's end", third.state == "open")
            self._demand("its clock was not set back", third.since == first.since)
            self.said["since"] = stamp(third.since)

    def fail(self, why: str) -> None:
        """End the step that goes on, as failed."""
        if self.steps and self.steps[-1].ended is None:
            self.steps[-1] = Timed(self.steps[-1].step, self.steps[-1].began, self.clock(), why)

    def _chosen(self, known: tuple[Known, ...], register: Register, now: datetime) -> Known:
        """Choose a finding of the canary that somebody of the customer's may accept."""
        found = sorted((each for each in known if each.identity_name == NAME and each.state == "open"), key=lambda each: each.control)
        for each in found:
            if approvers(register, _asked(register, self.folder, each, register.today(now)), register.today(now))[0]:
                return each
        if not found:
            raise DrillFailedError("no control finds the canary, which nobody registered and nobody owns", fix="see docs/controls.md")
        raise DrillFailedError("nobody may accept any of the canary's findings", fix="name who approves in register/controls")

    def _refused(self, register: Register, given: str, entry: RegisteredException, stand: Stand | None, today: date) -> str:
        """Return why an approval does not hold; raises DrillFailedError where it does."""
        name = None if stand is None else f"{entry.exception}.sig"
        entry = entry.model_copy(update={"approved_on": today, "approval": name})
        signatures = dict(register.signatures)
        if stand is not None and name is not None:
            signatures[name] = stand.sign(statement(register, entry, str(entry.approved_by), today).message())
        held = register.model_copy(update={"exceptions": {**register.exceptions, entry.exception: entry}, "signatures": signatures})
        now = standing(held, entry, today)
        self._demand(f"an approval {given} is refused", now.state == "invalid")
        return str(now.why)

    @staticmethod
    def _demand(said: str, held: object) -> None:
        if not held:
            raise DrillFailedError(f"it does not hold that {said}", fix="accept no finding until it does")


class _Step:
    """One step of the drill, timed."""

    def __init__(self, run: _Run, step: str) -> None:
        self._run, self._name = run, step

    def __enter__(self) -> None:
        self._run.tell(f"drill of exceptions: {self._name}")
        self._run.steps.append(Timed(self._name, self._run.clock()))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            began = self._run.steps[-1]
            self._run.steps[-1] = Timed(began.step, began.began, self._run.clock())


def copy(programme: Programme, folder: Path, now: datetime) -> Programme:
    """Write a programme into `folder`: the customer's register as it lies on disk, the drill's partner, and an export with one canary."""
    shutil.copytree(programme.folder / "register", folder / "register", ignore=shutil.ignore_patterns(".*"))
    drilled = partner(programme.register.today(now)).model_dump(mode="json", exclude_defaults=True)
    about = {"partner": {"id": PARTNER, "name": drilled["name"]}, "contract": drilled["contract"], "footprint": drilled["footprint"]}
    _write(folder / "register" / "partners" / f"{PARTNER}.yaml", json.dumps(about))
    _write(folder / "exports" / "report.csv", _export(now))
    signer.keygen(folder / "keys" / "evidence.pem")
    settings = {
        "customer": programme.customer, "state": "sqlite:///state.db",
        "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
        "sources": [{"name": "drill", "provider": "files", "path": "exports/"}],
        "limits": {"max_new_share": 1.0, "max_gone_share": 1.0},
    }  # fmt: skip
    _write(folder / FILE, json.dumps(settings))
    return load(folder)


def _export(now: datetime) -> str:
    """Write AWS's credential report of an account with one user, who has a key and whom nobody knows."""
    columns = {
        "user": NAME, "arn": f"arn:aws:iam::{ACCOUNT}:user/{NAME}", "user_creation_time": stamp(now - timedelta(days=1)),
        "password_enabled": "false", "password_last_used": "N/A", "password_last_changed": "N/A", "password_next_rotation": "N/A",
        "mfa_active": "false", "access_key_1_active": "true", "access_key_1_last_rotated": stamp(now - timedelta(days=1)),
        **{f"access_key_1_last_used_{name}": "N/A" for name in ("date", "region", "service")},
        "access_key_2_active": "false", "access_key_2_last_rotated": "N/A",
        **{f"access_key_2_last_used_{name}": "N/A" for name in ("date", "region", "service")},
        "cert_1_active": "false", "cert_1_last_rotated": "N/A", "cert_2_active": "false", "cert_2_last_rotated": "N/A",
    }  # fmt: skip
    return f"{','.join(columns)}\n{','.join(columns.values())}\n"


def _judged(programme: Programme, as_of: datetime) -> tuple[Known, ...]:
    """Make a night of the copy, and return its findings."""
    reconcile(programme, as_of)
    with State(programme.state) as state:
        return tuple(state.known().values())


def _of(known: tuple[Known, ...], first: Known) -> Known:
    name = fingerprint(first.control, first.subject)
    found = next((each for each in known if each.fingerprint == name), None)
    if found is None:
        raise DrillFailedError("the finding is not in the ledger of the copy any more", fix="look at the run")
    return found


def _asked(register: Register, folder: Path, of: Known, today: date) -> RegisteredException:
    return RegisteredException(
        exception=exception_file.next_id(register, folder / "register" / "exceptions"), control=of.control, subject=of.subject,
        reason="a drill", compensating_control="it exists on paper only", exit_criteria="the end of the drill", requested_by=PARTNER,
        expires=today + timedelta(days=1),
    )  # fmt: skip


def _path(folder: Path, entry: RegisteredException) -> Path:
    return folder / "register" / "exceptions" / f"{entry.exception}.yaml"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
