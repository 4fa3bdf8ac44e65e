"""A small real ledger, sealed by the store itself, and an auditor's bundle of it, written here by hand from the layout."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import rfc8785
from securesystemslib.dsse import Envelope

from countersign.clock import stamp
from countersign.evidence import signer, statement, verify
from countersign.evidence.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from countersign.evidence.store import Sealed
    from sandbox.tsa import SandboxTsa

START = datetime.now(UTC).replace(hour=1, minute=0, second=0, microsecond=0) - timedelta(days=9)
"""Moment of the first night; the tests' authority has no certificate for longer ago than some days."""
SHA256_OID = "2.16.840.1.101.3.4.2.1"
NIGHTS = {"reconcile": (0, 1, 4, 5), "failed": (3,)}
"""Kind to days after START; nothing was sealed on day 2."""
PROBES = {"results.json": b'{"controls":[]}', "tickets.json": b"[]", "observations/aws/users.jsonl.zst": b"\x28\xb5\x2f\xfd users"}


@dataclass(frozen=True)
class Ledger:
    """An evidence folder and what made it."""

    folder: Path
    key: Path
    tsa: SandboxTsa | None = None
    """None: no timestamps are configured."""

    @property
    def public(self) -> Path:
        return signer.public_path(self.key)

    @property
    def runs(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.name.isdigit())

    def seal(self, kind: str, day: int, *, files: Mapping[str, bytes] = PROBES, signed_by: Path | None = None, **said: Any) -> Sealed:
        """Seal one entry at the end; `said` goes into its predicate. It gets its timestamp two seconds later."""
        moment = START + timedelta(days=day)
        about: dict[str, Any] = {"customer": "northwind", "retainUntil": stamp(moment + timedelta(days=2))}
        if kind in {"reconcile", "failed"}:
            about |= {"asOf": stamp(moment), "state": "complete" if kind == "reconcile" else "failed"}
        if kind == "reconcile":
            about["results"] = []
        if self.tsa is not None:
            about["timestamps"] = True
        with FolderStore(self.folder, origin="northwind").stage(f"{kind}-{day}") as staging:
            for name, content in files.items():
                (staging.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (staging.folder / name).write_bytes(content)
            sealed = FolderStore(self.folder, origin="northwind").seal(
                staging,
                lambda log: statement.build(
                    run=staging.run_id, kind=kind, slot=None, started=moment, finished=moment + timedelta(minutes=1),
                    subjects=log.subjects, predicate_extra=about | said, log=log.entry(),
                ),
                signer.load(f"file:{signed_by or self.key}"),
            )  # fmt: skip
        if self.tsa is not None and said.get("timestamps", True):
            self.stamp(sealed.path, moment + timedelta(minutes=1, seconds=2))
        return sealed

    def stamp(self, run: Path, made: datetime, *, foreign: bool = False) -> None:
        """Put a timestamp of that moment into a run's folder."""
        assert self.tsa is not None
        payload = verify.read_envelope(run / verify.STATEMENT).payload
        put(run / verify.TIMESTAMP, self.tsa.stamp(SHA256_OID, hashlib.sha256(payload).digest(), made, foreign=foreign))

    def nights(self, last: int = 9) -> Ledger:
        """Seal the nights up to a day."""
        for day, kind in sorted((day, kind) for kind, days in NIGHTS.items() for day in days if day <= last):
            self.seal(kind, day)
        return self

    def copy(self, folder: Path) -> Ledger:
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def problems(self, *keys: Path, **asked: Any) -> list[tuple[str, str]]:
        return problems(self.folder, *(keys or (self.public,)), **asked)


def put(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def day(after: int) -> date:
    return (START + timedelta(days=after)).date()


def problems(path: Path, *keys: Path, **asked: Any) -> list[tuple[str, str]]:
    report = verify.verify(path, keys, **asked)
    assert report.ok is (report.problems == ())
    return [(problem.file, problem.what) for problem in report.problems]


def notes(path: Path, *keys: Path, **asked: Any) -> list[tuple[str, str, str]]:
    return [(check.name, check.state, check.detail) for check in verify.verify(path, keys, **asked).checks]


def sign(payload: bytes, key: Path) -> bytes:
    """Make an envelope, as who holds the key can."""
    envelope = Envelope(payload, verify.PAYLOAD_TYPE, {})
    envelope.sign(signer.load(f"file:{key}"))
    return rfc8785.dumps(envelope.to_dict())


def edit(envelope: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change an envelope and keep its form."""
    body = json.loads(envelope)
    change(body)
    return rfc8785.dumps(body)


def edit_payload(envelope: bytes, change: Callable[[dict[str, Any]], object], key: Path | None = None) -> bytes:
    """Change what an envelope says; `key` None leaves the old signature."""
    body = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    change(body)
    payload = rfc8785.dumps(body)
    return sign(payload, key) if key else edit(envelope, lambda outer: outer.update(payload=base64.b64encode(payload).decode()))


def bundle_files(ledger: Ledger, first: int = 0, last: int = 5, *, partner: str | None = None) -> dict[str, bytes]:
    """All files of a bundle about days `first` to `last`, with its statement."""
    sealed = [verify.read_envelope(run / verify.STATEMENT).payload for run in ledger.runs]
    said = [verify.read_statement(payload) for payload in sealed]
    of_period = [
        one.sequence or 0
        for one in said
        if day(first) <= date.fromisoformat((one.predicate.get("asOf") or one.predicate["finished"])[:10]) <= day(last)
    ]
    begin, end = min(of_period), max(of_period)
    leaves = [verify.leaf_hash(payload) for payload in sealed[:end]]
    files = {
        "index.html": b"<!DOCTYPE html>" + b"<p>nothing</p>" * 200,
        "verify.py": b"print()",
        "tickets/tickets.csv": b"key,ticket\r\n1,2\r\n",
        "exceptions/exceptions.csv": b"exception\r\nEX-1\r\n",
        "populations/populations.parquet": bytes(range(256)) * 20,
        verify.LEAVES: "".join(f"{leaf.hex()}\n" for leaf in leaves).encode(),
        "ledger/checkpoint": (ledger.folder / verify.run_folder(end) / verify.CHECKPOINT).read_bytes(),
        f"keys/{verify.key_id(verify.load_key(ledger.public.read_bytes()))}.pub.pem": ledger.public.read_bytes(),
    }
    for run in ledger.runs[begin - 1 : end] if partner is None else ():
        for name in (verify.STATEMENT, verify.CHECKPOINT, verify.TIMESTAMP, "results.json", "tickets.json"):
            if (run / name).exists():
                files[f"ledger/{run.name}/{name}"] = (run / name).read_bytes()
    entries = [
        {
            "sequence": one.sequence, "run": one.run, "kind": one.kind, "state": one.predicate.get("state"), "slot": one.predicate["slot"],
            "asOf": one.predicate.get("asOf"), "finished": one.predicate["finished"], "statement": one.digest, "leaf": leaf.hex(),
        }
        for one, leaf in zip(said, leaves, strict=False)
    ][begin - 1 :]  # fmt: skip
    dated = [(str(entry["asOf"] or entry["finished"])[:10], entry) for entry in entries]
    days = [str(day(after)) for after in range(first, last + 1)]
    judged = {when for when, entry in dated if entry["kind"] == "reconcile" and entry["state"] in {"complete", "partial"}} & set(days)
    failed = {when for when, entry in dated if entry["state"] == "failed"} & set(days) - judged
    missing = [each for each in days if each not in judged | failed]
    return resigned(
        files,
        ledger.key,
        {
            "customer": "northwind",
            "asOf": said[end - 1].predicate["asOf"],
            "code": {"version": "1"},
            "period": {"from": str(day(first)), "to": str(day(last))},
            "filters": {"partner": partner, "pseudonymised": False, "samples": {"size": 25, "seed": "s"}},
            "ledger": {
                "origin": "northwind", "size": end, "root": base64.b64encode(verify.root_of(leaves)).decode(),
                "first": begin, "last": end, "entries": entries,
            },
            "counts": {}, "withheld": [],
            "nights": {
                "expected": len(days), "complete": len(judged), "partial": 0, "stopped": 0, "failed": len(failed), "missing": missing,
            },
        },
    )  # fmt: skip


def resigned(files: Mapping[str, bytes], key: Path, predicate: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Sign a bundle's files (again), as who holds the key can; `predicate` None: what the present statement says."""
    if predicate is None:
        predicate = json.loads(base64.b64decode(json.loads(files[verify.BUNDLE])["payload"]))["predicate"]
    listed = {name: content for name, content in sorted(files.items()) if name != verify.BUNDLE}
    body = {
        "_type": verify.STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}} for name, content in listed.items()],
        "predicateType": verify.BUNDLE_TYPE,
        "predicate": {**predicate, "packed": {name: hashlib.sha256(deflated(content)).hexdigest() for name, content in listed.items()}},
    }
    return {**files, verify.BUNDLE: sign(rfc8785.dumps(body), key)}


def deflated(content: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflate.compress(content) + deflate.flush()


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Write a ZIP in the one form, in the order given."""
    out, entries = b"", []
    for name, content in files:
        packed = content if name == verify.BUNDLE else deflated(content)
        entry = verify.ZipEntry(name, 0 if name == verify.BUNDLE else 8, zlib.crc32(content), len(packed), len(content), len(out))
        entries.append(entry)
        out += verify.zip_local(entry) + packed
    directory = b"".join(verify.zip_central(entry) for entry in entries)
    return out + directory + verify.zip_end(len(entries), len(directory), len(out))
