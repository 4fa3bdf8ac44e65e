"""The statement of a run: which files it left and how it went, in canonical JSON, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rfc8785
from securesystemslib.dsse import Envelope

from countersign.clock import stamp
from countersign.errors import EvidenceError
from countersign.evidence.verify import (
    INTENT_SUFFIX,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    Statement,
    digest,
    read_envelope,
    read_statement,
)

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from countersign.evidence.signer import Signer

__all__ = ["Statement", "build", "canonical", "digest", "read", "sign"]


def build(  # noqa: PLR0913  # one keyword for each thing that every statement says
    *,
    run: str,
    kind: str,
    slot: str | None,
    started: datetime,
    finished: datetime,
    subjects: Mapping[str, str],
    predicate_extra: Mapping[str, object],
    log: Mapping[str, str | int | None],
) -> dict[str, Any]:
    """Make an in-toto Statement v1 (https://github.com/in-toto/attestation) over `subjects` (path to SHA-256 hex).

    `slot` is the schedule slot, None for a run started by hand. `log` holds origin, sequence and previousStatement; a log
    whose sequence is None is an intent, and its kind gets the suffix `-intent`. Raises EvidenceError for a float (its
    text is not the same everywhere), an integer beyond 2^53, a value JSON does not have, and an extra field that
    would hide one of ours.
    """
    ours = {
        "run": run,
        "kind": kind if log["sequence"] is not None else kind + INTENT_SUFFIX,
        "slot": slot,
        "started": stamp(started),
        "finished": stamp(finished),
        "log": dict(log),
    }
    hidden = sorted(ours.keys() & predicate_extra.keys())
    if hidden:
        raise EvidenceError(f"the statement has fields of its own called {', '.join(hidden)}")
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": subjects[name]}} for name in sorted(subjects)],
        "predicateType": PREDICATE_TYPE,
        "predicate": {**predicate_extra, **ours},
    }
    plain: dict[str, Any] = json.loads(canonical(statement))
    return plain


def canonical(statement: Mapping[str, object]) -> bytes:
    """Write a statement as canonical JSON (RFC 8785). Raises EvidenceError as `build` does."""
    _refuse_floats(statement, "statement")
    try:
        return rfc8785.dumps(statement)  # type: ignore[arg-type]  # checked above
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise EvidenceError(f"the statement cannot be written: {error}") from error


def sign(statement: Mapping[str, object], signer: Signer) -> tuple[bytes, str]:
    """Sign a statement as a DSSE envelope (https://github.com/secure-systems-lab/dsse); returns the file and the statement's digest."""
    payload = canonical(statement)
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return rfc8785.dumps(envelope.to_dict()), digest(payload)


def read(path: Path) -> Statement:
    """Return what an envelope file says, without checking its signature. Raises EvidenceError when it is broken."""
    try:
        return read_statement(read_envelope(path).payload)
    except FileNotFoundError as error:
        raise EvidenceError(f"{path} is missing", fix="countersign verify shows what else was changed") from error
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{path} is no statement: {error}", fix="countersign verify shows what was changed") from error


def _refuse_floats(value: object, place: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, Mapping):
        for key, held in value.items():
            if not isinstance(key, str):
                raise EvidenceError(f"{place} has a key that is no text: {key!r}")
            _refuse_floats(held, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for position, held in enumerate(value):
            _refuse_floats(held, f"{place}[{position}]")
    else:
        raise EvidenceError(f"{place} is a {type(value).__name__}; a statement holds text, integers, true, false and null only")
