"""Sealed entries made by hand, night by night: what a run leaves, without the run; for tests of what is read back from evidence."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from countersign.evidence import signer, statement
from countersign.inventory import TABLES, sql_text
from countersign.run_files import write_register

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from countersign.register.records import Register

FINDING = {
    "fingerprint": "VARCHAR", "control": "VARCHAR", "subject": "VARCHAR", "subject_kind": "VARCHAR", "identity": "VARCHAR", "identity_name": "VARCHAR",
    "provider": "VARCHAR", "scope": "VARCHAR", "partner": "VARCHAR", "accountable": "VARCHAR", "severity": "VARCHAR", "reason": "VARCHAR", "state": "VARCHAR",
    "first_seen": "TIMESTAMP", "since": "TIMESTAMP", "due": "TIMESTAMP", "closed_at": "TIMESTAMP", "reopened": "BIGINT", "excepted": "VARCHAR",
    "excepted_until": "TIMESTAMP", "unobserved_since": "TIMESTAMP", "ticket_key": "VARCHAR", "event": "VARCHAR", "looked_before": "TIMESTAMP",
}  # fmt: skip
ABOUT = dict.fromkeys(("subject", "subject_kind", "identity", "kind", "partner", "accountable"), "VARCHAR")
SLAS = {"customer": "VARCHAR", "control": "VARCHAR", "clock": "VARCHAR"} | dict.fromkeys(
    ("detect_us", "escalate_us", "rotate_us", "revoke_us"), "BIGINT"
)
LOOKED = {"provider": "VARCHAR", "scope": "VARCHAR", "looked_at": "TIMESTAMP", "looked_before": "TIMESTAMP"}
HOUR = 3_600_000_000


def key(folder: Path) -> tuple[CryptoSigner, Path]:
    """Make a key that signs; returns it with the file of its public half."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    path = folder / "evidence.pub.pem"
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return CryptoSigner(private, SSlibKey.from_crypto(public, signer.keyid(public), "ed25519")), path


class Ledger:
    """An evidence folder in the making; each call adds one entry at its end."""

    def __init__(self, folder: Path, origin: str = "northwind") -> None:
        self.store = folder / "evidence"
        self.store.mkdir(parents=True)
        self.signer, self.public = key(folder)
        self.origin = origin
        self.size = 0
        self.previous: str | None = None

    def entry(
        self, kind: str, at: datetime, said: Mapping[str, object], fill: Mapping[str, bytes] | None = None, *, slot: str | None = "nightly"
    ) -> Path:
        """Seal an entry of small files."""
        folder = self._folder()
        for name, content in (fill or {}).items():
            (folder / name).write_bytes(content)
        return self._seal(folder, kind, at, said, slot)

    def failed(self, at: datetime, why: str, *, began: datetime | None = None) -> Path:
        """Seal a failed run; `began`: one that died and was sealed by the run of `at`."""
        said = {"customer": self.origin, "asOf": stamp(at), "state": "failed", "error": why}
        return self.entry("failed", at, said | ({"began": stamp(began)} if began else {}), slot=None if began else "nightly")

    def night(  # noqa: PLR0913 - what a run leaves
        self,
        at: datetime,
        *,
        findings: Iterable[Mapping[str, object]] = (),
        verdicts: Sequence[Mapping[str, object]] | None = (),
        identities: Iterable[Mapping[str, object]] = (),
        sources: Sequence[dict[str, Any]] = (),
        controls: Sequence[str] = ("rotation-age",),
        receipts: Sequence[Mapping[str, object]] = (),
        plans: Sequence[Mapping[str, object]] = (),
        slas: Iterable[Mapping[str, object]] = (),
        looked: Iterable[Mapping[str, object]] = (),
        owners: Mapping[str, str] | None = None,
        register: Register | None = None,
        unread: Sequence[Mapping[str, Any]] = (),
        guard: str | None = None,
        state: str = "complete",
        said: Mapping[str, object] | None = None,
    ) -> Path:
        """Seal a judged run. `verdicts` None: as an older version sealed it, without that file."""
        folder = self._folder()
        (folder / "inventory").mkdir()
        table(folder / "findings.parquet", FINDING, findings)
        counts = {control: dict.fromkeys(("pass", "fail", "excepted", "unknown"), 0) for control in controls}
        for row in verdicts or ():
            for control in controls:
                if (verdict := row.get(control.replace("-", "_"))) is not None:
                    counts[control][str(verdict)] += 1
        if verdicts is not None:
            table(folder / "verdicts.parquet", ABOUT | {control.replace("-", "_"): "VARCHAR" for control in controls}, verdicts)
        table(folder / "inventory" / "identities.parquet", {"source": "VARCHAR"} | TABLES["identities"], identities)
        table(folder / "inventory" / "register_slas.parquet", SLAS, slas)
        table(folder / "inventory" / "looked.parquet", LOOKED, looked)
        answers = ({"control": control, "accountable": person} for control, person in (owners or {}).items())
        table(folder / "inventory" / "register_controls.parquet", {"control": "VARCHAR", "accountable": "VARCHAR"}, answers)
        if register is not None:
            write_register(folder, register)
        hidden = len(unread)
        results = [
            {
                "control": control, "verdict": "fail" if found["fail"] else "unknown" if found["unknown"] or hidden else "pass",
                "population": sum(found.values()) + hidden, "passed": found["pass"], "failed": found["fail"], "excepted": found["excepted"],
                "unknown": found["unknown"] + hidden,
            }
            for control, found in counts.items()
        ]  # fmt: skip
        reasons = [{"reason": "not read", "count": 1, "unit": "scope", "places": [dict(place, count=1)]} for place in unread]
        of_controls = [
            {"id": row["control"], "title": f"{row['control']} fails", "severity": "high", "unknown_reasons": reasons} for row in results
        ]
        write(folder / "results.json", {"controls": of_controls})
        write(folder / "tickets.json", list(receipts))
        write(folder / "plan.json", {"stopped": guard, "tickets": list(plans)})
        predicate = {
            "customer": self.origin, "asOf": stamp(at), "state": state, "sources": list(sources), "results": results, "guard": guard, "limitedTo": [],
            "code": {"version": "1", "commit": None}, "registerDigest": register.digest if register else "none", "configurationDigest": "sha256:0",
            "actors": {"runner": "operator"},
        }  # fmt: skip
        return self._seal(folder, "reconcile", at, predicate | dict(said or {}), "nightly")

    def _folder(self) -> Path:
        folder = self.store / f"{self.size + 1:08d}"
        folder.mkdir()
        return folder

    def _seal(self, folder: Path, kind: str, at: datetime, said: Mapping[str, object], slot: str | None) -> Path:
        self.size += 1
        began = said.get("began")
        made = statement.build(
            run=f"{at:%Y%m%dT%H%M%SZ}-{self.size:06d}",
            kind=kind,
            slot=slot,
            started=datetime.fromisoformat(str(began)) if began else at,
            finished=at + timedelta(minutes=1),
            subjects={
                p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted(folder.rglob("*"))
                if p.is_file()
            },
            predicate_extra={name: value for name, value in said.items() if name != "began"},
            log={"origin": self.origin, "sequence": self.size, "previousStatement": self.previous},
        )
        content, self.previous = statement.sign(made, self.signer)
        (folder / "statement.dsse.json").write_bytes(content)
        return folder


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def source(
    scope: str, *, name: str = "aws", state: str = "complete", operations: Sequence[Mapping[str, object]] = (), **said: object
) -> dict[str, Any]:
    """Say how one scope was read, as a statement has it."""
    rows = [
        {"operation": "iam:ListUsers", "state": state, "pages": 1, "returned": 2, "dropped": {}, "independentCount": None, "error": None}
        | dict(row)
        for row in operations or [{}]
    ]
    times = {"started": "2026-11-01T02:00:00Z", "finished": "2026-11-01T02:00:01Z"}
    kept = {"identities": 2, "credentials": 1}
    told = {"source": name, "provider": "aws", "scope": scope, "state": state, "caller": "reader", "passedOver": False, "kept": kept}
    return told | {"operations": [row | times for row in rows]} | said


def table(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write a Parquet file."""
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file, duckdb.connect() as db:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))
        file.flush()
        spec = ", ".join(f"{sql_text(name)}: {sql_text(kind)}" for name, kind in columns.items())
        query = f"SELECT * FROM read_json({sql_text(file.name)}, format='newline_delimited', columns={{{spec}}})"  # noqa: S608 - quoted
        db.execute(f"COPY ({query}) TO {sql_text(path)} (FORMAT parquet, COMPRESSION zstd)")


def write(path: Path, document: object) -> None:
    path.write_bytes(orjson.dumps(document))
