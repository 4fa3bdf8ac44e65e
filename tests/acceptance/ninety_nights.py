"""Harbour Insurance's programme folder and its nights, run one after the other with a clock of their own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from countersign.evidence import signer
from countersign.programme import load
from countersign.reconciliation import Reconciliation, read_all
from countersign.register.exceptions import statement as to_sign
from countersign.rotation import rotate
from sandbox.tsa import Behaviour, SandboxTsa
from tests.acceptance import ninety_estate as estate
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from countersign.results import RunResult

Entry = dict[str, Any]

PARTNERS = {
    "aster": "Aster & Söhne <script>alert(1)</script>",
    "borealis": "=cmd|' /C calc'!A0 Borealis",
    "cobalt": "Cobalt +49 <b>Systems</b>",
}
PEOPLE = {
    "ana": "Ana O'Neill \"the auditor\"", "bo": "Bo =SUM(A1:A9)", "dana": "Dana <img src=x onerror=alert(3)>", "eve": "Eve Öztürk", "lee": "Lee Long-Gone",
    "gil": "Gil Cobaltkeeper", "ivy": "Ivy Borealiskeeper",
}  # fmt: skip
ASTER_RIGHT = "aster/pavel"
PSEUDONYMS = "keys/pseudonyms.key"


def make(folder: Path, numbers: Iterable[int], tell: Callable[[str], None] = lambda _: None) -> Path:
    """Write the folder and run the nights of those days of the period; a day of MISSING has none.

    Beside it: `tsa.pem`, the root of the authority that stamped them.
    """
    folder.mkdir(parents=True)
    for name in ("evidence", "evidence-2"):
        signer.keygen(folder / "keys" / f"{name}.pem")
    approver = Key()
    with SandboxTsa() as tsa:
        folder.with_name(f"{folder.name}-tsa.pem").write_bytes(tsa.ca)
        (folder / "keys" / "tsa-ca.pem").write_bytes(tsa.ca)
        _yaml(folder / "countersign.yaml", _configuration(tsa.address))
        for number in sorted(set(numbers) - set(estate.MISSING)):
            began = datetime.now(UTC)
            _night(folder, number, approver, tsa)
            tell(f"{number:2} {estate.day(number)} {(datetime.now(UTC) - began).total_seconds():.1f} s")
    return folder


def run(folder: Path, number: int, *, later: bool = False, die: str | None = None, tsa: SandboxTsa | None = None) -> RunResult | None:
    """Run one night on what lies in the folder; `die`: of a full disk, or of SIGKILL once a scope has been read. None: it died."""
    as_of = estate.at(number, time(14, 0)) if later else estate.at(number)
    # The one that takes over after a death begins later than the one that died.
    begins = as_of + (timedelta(minutes=5) if number == estate.KILLED and die is None else timedelta())
    ahead = begins - datetime.now(UTC)
    if tsa is not None:
        tsa.behaviour = Behaviour(ahead=ahead, status=503 if number in estate.NO_TIMESTAMPS else 200)
    slot = f"{estate.day(number)}{'-again' if later else ''}"
    try:
        with Reconciliation(load(folder), as_of=as_of, slot=slot, clock=lambda: datetime.now(UTC) + ahead) as night:
            if die == "disk":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "inventory/identities.parquet")  # noqa: TRY301 - it stands for a disk
            if die == "kill":
                scopes, _ = night.scopes()
                night.read(scopes[0])
                os.kill(os.getpid(), signal.SIGKILL)
            judged = night.judge(read_all(night))
            planned = night.plan(judged)
            return night.record(judged, planned, night.act(planned))
    except OSError as error:
        if die != "disk" or error.errno != errno.ENOSPC:
            raise
        return None


def register(folder: Path, number: int, approver: Key) -> None:
    """Write the register as it is on a day."""
    place = folder / "register"
    shutil.rmtree(place, ignore_errors=True)
    _yaml(place / "customer.yaml", _customer(number))
    (place / "allowed_signers").write_text(approver.line("ana", 'namespaces="countersign"'))
    for kind, entries in (("partners", _partners()), ("workloads", _workloads()), ("controls", _controls(number))):
        for entry in entries:
            name = entry.get("control") or entry.get("workload") or entry["partner"]["id"]
            _yaml(place / kind / f"{name}.yaml", entry)
    for entry in _exceptions(number):
        _yaml(place / "exceptions" / f"{entry['exception']}.yaml", entry)
    loaded = load(folder).register
    for accepted in loaded.exceptions.values():
        if accepted.approved_by is not None and accepted.approved_on is not None:
            message = to_sign(loaded, accepted, accepted.approved_by, accepted.approved_on).message()
            (place / "exceptions" / f"{accepted.exception}.sig").write_text(approver.sign(message))


def _night(folder: Path, number: int, approver: Key, tsa: SandboxTsa) -> None:
    register(folder, number, approver)
    if number == estate.NEW_SIGNER:
        ahead = estate.at(number) - timedelta(hours=10) - datetime.now(UTC)
        tsa.behaviour = Behaviour(ahead=ahead)
        rotate(load(folder), "file:keys/evidence-2.pem", clock=lambda: datetime.now(UTC) + ahead)
    for later in (False, True) if number == estate.TWICE else (False,):
        write_exports(folder, number, later=later)
        if number in (estate.KILLED, estate.DEAD):
            words = (
                sys.executable,
                "-c",
                f"from tests.acceptance.ninety_nights import *; run(Path({str(folder)!r}), {number}, die='kill')",
            )
            died = subprocess.run(words, check=False, cwd=Path(__file__).parents[2], capture_output=True, text=True)
            assert died.returncode == -signal.SIGKILL, died.stderr
        if number != estate.DEAD:
            run(folder, number, later=later, die="disk" if number == estate.FULL_DISK else None, tsa=tsa)


def write_exports(folder: Path, number: int, *, later: bool = False) -> None:
    """Put the vendors' exports of a day into the folder, made an hour before the night."""
    shutil.rmtree(folder / "exports", ignore_errors=True)
    made = estate.at(number, time(13, 0) if later else time(1, 0)).timestamp()
    for name, text in estate.exports(number, later=later).items():
        path = folder / "exports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        os.utime(path, (made, made))


def _configuration(tsa: str) -> Entry:
    return {
        "customer": "harbour",
        "state": "sqlite:///state.db",
        "evidence": {
            "store": "evidence/",
            "signer": "file:keys/evidence.pem",
            "retention": "P7Y",
            "timestamps": {"url": tsa, "ca": "keys/tsa-ca.pem"},
            "pseudonyms": f"file:{PSEUDONYMS}",
        },
        "sources": [{"name": "exports", "provider": "files", "path": "exports/"}],
        "desk": {"kind": "local"},
        "limits": {"max_new_share": 0.6, "max_gone_share": 0.5, "tickets_per_run": 200},
    }


def _customer(number: int) -> Entry:
    gone = {"lee", *(("dana",) if number >= estate.LEAVES else ())}
    return {
        "customer": {"id": "harbour", "name": "Harbour Insurance <plc>", "timezone": "Europe/London"},
        "footprint": {"aws_accounts": [estate.MAIN, estate.LATER], "entra_tenants": [estate.TENANT], "gcp_projects": [estate.PROJECT]},
        "people": [
            {"id": person, "name": name, "email": f"{person}@harbour.example", "active": person not in gone}
            for person, name in PEOPLE.items()
        ],
        "external_people": [{"partner": partner} for partner in PARTNERS],
        "policies": {
            "human": {"max_idle": "P90D", "mfa": "required"},
            "machine": {
                "max_idle": "P45D",
                "rotate_within": {"aws_access_key": "P90D", "entra_secret": "P180D", "gcp_key": "P365D"},
                "overlap": "P7D",
            },
        },
    }


def _partners() -> Iterable[Entry]:
    for number, (partner, name) in enumerate(PARTNERS.items(), start=1):
        ends = estate.day(estate.CONTRACT_ENDS) if partner == "borealis" else date(2028, 1, 31)
        contract = {"reference": f"HB-{partner}-{number}", "starts": date(2024, 1, 1), "ends": ends, "evidence_retention": "P7Y", "notify_within": "PT24H", "direct_evidence_access": True}  # fmt: skip
        footprint: Entry = {"name_patterns": [f"{partner}-*"], "email_domains": [f"{partner}.example"]}
        if partner == "aster":
            footprint["entra_tenants"] = [estate.ASTER_TENANT]
        contacts = {"escalation": [f"ops@{partner}.example"], "security": f"soc@{partner}.example"}
        yield {"partner": {"id": partner, "name": name}, "contract": contract, "contacts": contacts, "footprint": footprint}


def _workloads() -> Iterable[Entry]:
    def of(partner: str | None, *prefixes: str) -> list[str]:
        return [
            *(f"aws:*:user/{prefix}*" for prefix in prefixes),
            *(i.uid for i in estate.IDENTITIES if i.partner == partner and i.provider == "azure"),
            *(f"gcp:*:service-account/{prefix}*" for prefix in prefixes),
        ]

    far = date(2027, 12, 31)
    yield _workload("aster-batch", "aster", "ana", "bo", far, of("aster", "aster-job", "aster-late", "aster-loader"))
    yield _workload("aster-night", "aster", "dana", "lee", far, ["aws:*:user/aster-night-*"])
    yield _workload("borealis-etl", "borealis", "ivy", "bo", estate.day(estate.CONTRACT_ENDS), of("borealis", "borealis-"))
    yield _workload("cobalt-sync", "cobalt", "gil", "bo", far, of("cobalt", "cobalt-"))
    yield _workload("harbour-services", None, "ana", "bo", far, of(None, "svc-", "warehouse"))


def _workload(name: str, partner: str | None, owner: str, backup: str, expires: date, identities: list[str]) -> Entry:  # noqa: PLR0913, PLR0917 - one for each field
    said = {"workload": name, "partner": partner, "owner": owner, "backup_owner": backup, "purpose": f"work of {name}", "environment": "production", "expires": expires, "identities": identities}  # fmt: skip
    return {key: value for key, value in said.items() if value is not None}


def _controls(number: int) -> Iterable[Entry]:
    yield _control("default", "ana", "bo")
    yield _control("rotation-age", "eve" if number >= estate.NEW_ACCOUNTABLE else "ana", "bo")
    if number >= estate.OWN_ENTRY:
        yield _control("human-mfa", "bo", "eve")


def _control(name: str, accountable: str, does: str) -> Entry:
    return {
        "control": name,
        "objective": f"{name}: whoever does it, a person of ours answers for it",
        "owners": {"business": accountable, "technical": does, "operational": does},
        "answers": {"approves": accountable, "implements": does, "monitors": accountable, "revokes": does},
        "raci": {step: {"R": does, "A": accountable} for step in ("provision", "rotate", "review", "revoke")},
        "fallback": does,
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "P1D"},
    }


def key_of(user: str) -> str:
    """Name the access key that a user has on the first day, as a report without key ids lets one name it."""
    (identity,) = (each for each in estate.IDENTITIES if each.name == user)
    return key_uid(identity, identity.keys[0])


def key_uid(identity: estate.Identity, key: estate.Key) -> str:
    """Name a credential."""
    if identity.provider == "aws":
        return f"aws:{identity.scope}:access-key/{identity.id}@{key.made:%Y%m%dT%H%M%SZ}"
    kind = "client-secret" if identity.provider == "azure" else "service-account-key"
    return f"{identity.provider}:{identity.scope}:{kind}/{key.id}"


def _exceptions(number: int) -> Iterable[Entry]:
    said = {
        "control": "rotation-age",
        "reason": estate.REASON,
        "compensating_control": "Two addresses only.",
        "exit_criteria": "The vendor has taken the new key.",
    }

    def approved(by: str, on: int, name: str) -> Entry:
        return {"approved_by": by, "approved_on": estate.day(on), "approval": f"{name}.sig"} if number >= on else {}

    mine = said | {"subject": key_of(estate.EXCEPTED), "requested_by": ASTER_RIGHT}
    if number >= estate.REQUESTED_1:
        yield {"exception": "EX-0001", **mine, "expires": estate.day(estate.EXPIRES_1), **approved("ana", estate.APPROVED_1, "EX-0001")}
    if number >= estate.REQUESTED_2:
        ended = {"ended_on": estate.day(estate.ENDED)} if number >= estate.ENDED else {}
        yield {"exception": "EX-0002", **mine, "expires": estate.day(estate.EXPIRES_2), "renews": "EX-0001", **approved("ana", estate.APPROVED_2, "EX-0002"), **ended}  # fmt: skip
    if number >= estate.APPROVED_1:
        refused = said | {"subject": key_of(estate.REFUSED), "requested_by": "ana", "reason": "Haste"}
        yield {"exception": "EX-0003", **refused, "expires": estate.day(estate.EXPIRES_2), **approved("ana", estate.APPROVED_1, "EX-0003")}


def _yaml(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Through JSON: the register takes no YAML aliases.
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False, allow_unicode=True), encoding="utf-8")
