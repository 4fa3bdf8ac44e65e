"""The programme's ledger: where it lies, how long what is sealed tonight is kept, and entries of it that are no judged runs."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from countersign import run_evidence
from countersign.clock import stamp
from countersign.errors import EvidenceError
from countersign.evidence import retention, signer, statement, timestamps
from countersign.evidence.store import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.evidence.store import Log, Sealed, Store
    from countersign.programme import Programme

KEYS = "keys"
"""Folder of the programme with the public halves of all keys that have signed its evidence."""
NAME = "entry.json"
"""The file of an entry that brings none of its own: what its statement says of it."""


def open_store(programme: Programme) -> Store:
    """Return where the programme's evidence lies: its folder, or its bucket with the folder as its copy. Nothing is made or read yet."""
    evidence = programme.evidence
    if evidence.s3 is None:
        return FolderStore(evidence.store, origin=programme.customer)
    from countersign.evidence.s3 import S3Store

    return S3Store(
        evidence.s3,
        evidence.store,
        origin=programme.customer,
        mode=evidence.lock or "COMPLIANCE",
        region=evidence.region,
        endpoint=evidence.endpoint,
        keys=public_keys(programme),
    )


def public_keys(programme: Programme) -> tuple[Path, ...]:
    """Return the public keys (PEM files) that sign or signed the evidence: all of `keys/`, and the one beside the signer's file."""
    beside = signer.public_path(programme.folder / programme.evidence.signer.removeprefix("file:"))
    found = {*(programme.folder / "keys").glob("*.pub.pem"), *([beside] if beside.is_file() else [])}
    return tuple(sorted(found))


def retain_until(programme: Programme, finished: datetime) -> datetime:
    """Return until when (UTC) what ended at `finished` is kept: the longest of the programme's retention and of every partner's contract.

    That a contract ends does not shorten it.
    """
    agreed = (partner.contract.evidence_retention for partner in programme.register.partners.values())
    return retention.retain_until(finished, (programme.evidence.retention, *(period for period in agreed if period is not None)))


def seal(
    programme: Programme,
    kind: str,
    files: Mapping[str, bytes],
    said: Mapping[str, object] | Callable[[], Mapping[str, object]],
    *,
    clock: Callable[[], datetime],
) -> Sealed:
    """Seal an entry of the chain that is no judged run, such as an export or a disposal: its small files, and what its statement says.

    `files` is path to content; with none, `said` is its file. Where `said` depends on the entries before, it is a function, which is
    called again when another entry was faster: no entry comes between what it read and this one. The programme's lock is not taken: a
    night may run meanwhile. Raises EvidenceError when it cannot be sealed, and then it is not in the chain.
    """
    with_key, store, started = signer.load(programme.evidence.signer), open_store(programme), clock()
    wanted = programme.evidence.timestamps
    run = f"{kind}-{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    about = {name: value for name, value in run_evidence.about(programme, started, ()).items() if name not in {"asOf", "limitedTo"}}

    def build(log: Log) -> dict[str, object]:
        finished = clock()
        kept = {"retainUntil": stamp(retain_until(programme, finished)), **timestamps.said(store, wanted, finished)}
        return statement.build(
            run=run,
            kind=kind,
            slot=None,
            started=started,
            finished=finished,
            subjects=log.subjects,
            predicate_extra={**about, **kept, **(said() if callable(said) else said)},
            log=log.entry(),
        )

    with store.stage(run) as staging:
        for name, content in (files or {NAME: statement.canonical({} if callable(said) else said)}).items():
            path = staging.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sealed = store.seal(staging, build, with_key)
    if wanted is not None:
        # Whatever comes of it: the entry is sealed, and what is missing is asked for again by the next run.
        with suppress(EvidenceError):
            timestamps.stamp(store, wanted, now=clock, tell=lambda _line: None)
    return sealed
