"""An entry on its way into a bucket and back: what its statement says of where its files are, and until when they are locked."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from countersign.clock import instant, stamp
from countersign.errors import EvidenceError
from countersign.evidence.bucket import CONNECTIONS
from countersign.evidence.verify import run_folder

if TYPE_CHECKING:
    from countersign.evidence.bucket import Version
    from countersign.evidence.verify import Statement

FILES = "files"
_SPARE = timedelta(hours=1)
"""Objects are locked for this much longer than the entry, since its statement is finished after they are put."""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Upload:
    """The files of an entry that is to be claimed, and how they are locked, as the bucket says."""

    prefix: str
    versions: tuple[Version, ...]
    mode: str
    until: datetime


def move(made: Path, target: Path) -> None:
    """Move a folder to a place where another process may have put the same entry, or a part of it."""
    try:
        made.rename(target)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
    else:
        return
    for root, _, files in os.walk(made):
        for name in files:
            path = target / Path(root, name).relative_to(made)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                Path(root, name).replace(path)


def is_number(text: str) -> bool:
    """Whether a text is the name of an entry's folder."""
    return text.isascii() and text.isdigit() and text == run_folder(int(text))


def predicate_of(made: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a statement says; empty where it says nothing."""
    predicate = made["predicate"]
    return predicate if isinstance(predicate, Mapping) else {}


def kept_until(predicate: Mapping[str, Any]) -> datetime:
    """Return until when an entry is kept. Raises EvidenceError where its statement does not say."""
    try:
        return instant(predicate["retainUntil"])
    except (KeyError, TypeError, ValueError):
        raise EvidenceError("the statement does not say until when its entry is kept (retainUntil)") from None


def locked_until(kept: datetime) -> datetime:
    """Return until when objects are locked, in whole seconds, as S3 keeps them."""
    return (min(kept, datetime.max.replace(tzinfo=UTC) - _SPARE) + _SPARE).replace(microsecond=0)


def with_store(made: Mapping[str, object], uri: str, upload: Upload) -> dict[str, object]:
    """Add to a statement where its files are and how they are locked."""
    store = {
        "bucket": uri,
        "files": upload.prefix,
        "objects": len(upload.versions),
        "mode": upload.mode if upload.versions else None,
        "retainUntil": stamp(upload.until) if upload.versions else None,
    }
    return {**made, "predicate": {**predicate_of(made), "store": store}}


def files_of(said: Statement) -> str | None:
    """Where the files of an entry are; None for one that was not sealed into a bucket."""
    store = said.predicate.get("store")
    prefix = store.get("files") if isinstance(store, dict) else None
    return prefix if isinstance(prefix, str) and prefix.startswith(f"{FILES}/") else None


def each_of(do: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do a few things at once, in their order; the first error is raised once all are done."""
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(do, items))
