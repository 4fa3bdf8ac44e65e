"""Timestamps for sealed entries: asked of the authority that the customer chose (RFC 3161), checked, and put beside the statement."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from cryptography import x509

from countersign.clock import instant
from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import LATEST, STATEMENT, TIMESTAMP, WITHIN, check_timestamp, run_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from countersign.evidence.store import Store

WAIT = timedelta(seconds=20)
"""How long a run waits for the authority, all its questions together."""
CLOCKS = timedelta(minutes=5)
"""How far the authority's clock may differ from ours."""
_LARGEST = 256 * 1024
_QUESTION = bytes.fromhex("3039020101 3031 300d0609608648016503040201 0500 0420")
"""TimeStampReq (RFC 3161 section 2.4.1) up to the SHA-256: version 1, no policy."""
_WITH_CERTIFICATES = bytes.fromhex("0101ff")
"""certReq TRUE. There is no nonce: an answer to an earlier question would show in its time."""


class Config(Protocol):
    """What is set under `evidence.timestamps`."""

    @property
    def url(self) -> str:
        """Where to ask (RFC 3161 section 3.4)."""

    @property
    def ca(self) -> Path:
        """PEM file of the roots that answers must lead to."""

    @property
    def within(self) -> timedelta:
        """How long after the end of a run its timestamp needs no explanation; more than WITHIN counts as WITHIN, which readers hold to."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What became of one entry that had no timestamp."""

    sequence: int
    at: datetime | None
    """When the authority says that the statement existed (UTC); None: it still has no timestamp."""
    why: str | None
    """Why there is none; None where there is one."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """An entry without a timestamp."""

    sequence: int
    digest: bytes
    """SHA-256 of the statement's payload."""
    finished: datetime
    declared: bool
    """Whether a later statement says that it had none."""


def said(store: Store, config: Config | None, now: datetime) -> dict[str, object]:
    """Return what a statement that is made now says about timestamps; nothing where none are configured.

    `timestamps`: this entry is to get one. `unstamped`: the earlier entries of the last seven days that have none yet, so that one that
    comes late is explained by a signature from before it came. Raises EvidenceError as the store does.
    """
    if config is None:
        return {}
    return {"timestamps": True, "unstamped": sorted(entry.sequence for entry in _missing(store, now))}


def stamp(  # noqa: PLR0913 - where, whom to ask, and four things that have a usual value
    store: Store,
    config: Config,
    *,
    now: Callable[[], datetime],
    only: Collection[int] | None = None,
    tell: Callable[[str], object],
    wait: timedelta = WAIT,
) -> tuple[Stamp, ...]:
    """Ask for a timestamp for every entry of the last seven days that has none, newest first, and put those that hold into the store.

    An entry that is older than `config.within` is asked for only once a later statement has declared it unstamped: nobody could tell
    it from one that was made afterwards. `only` are sequences, None all. After `wait`, or once the authority fails, no more
    is asked. Returns one Stamp for each entry that had none. Nothing that the authority, the network or the file of roots does is raised;
    EvidenceError as the store raises it.
    """
    missing = [entry for entry in _missing(store, now()) if only is None or entry.sequence in only]
    until = time.monotonic() + wait.total_seconds()
    done: list[Stamp] = []
    broken: str | None = None
    roots: Sequence[x509.Certificate] = ()
    for entry in missing:
        late = now() - entry.finished > min(config.within, WITHIN) and not entry.declared
        why = "too late to be asked for before the next run has said that it is missing" if late else broken
        made = None
        if why is None:
            try:
                roots = roots or _roots(config.ca)
                token = _ask(config.url, entry.digest, until - time.monotonic())
                made = _checked(token, entry, roots, now())
                store.put_once(entry.sequence, TIMESTAMP, token)
            except _UnansweredError as error:
                why = broken = str(error)
            except (ValueError, EvidenceError) as error:
                made, why = None, str(error)
        done.append(Stamp(entry.sequence, made, why))
        tell(f"{run_folder(entry.sequence)} {f'is stamped {made:%Y-%m-%dT%H:%M:%SZ}' if made else f'has no timestamp yet: {why}'}")
    return tuple(done)


class _UnansweredError(Exception):
    """There is no point in asking for more now."""


def _missing(store: Store, now: datetime) -> Iterator[_Missing]:
    """Yield the entries of the last seven days that have no timestamp, newest first."""
    head = store.head()
    declared: set[object] = set()
    for sequence in range(0 if head is None else head.sequence, 0, -1):
        folder = store.folder / run_folder(sequence)
        if not (folder / STATEMENT).is_file():
            folder = store.fetch(sequence)
        read = statement.read(folder / STATEMENT)
        try:
            finished = instant(str(read.predicate.get("finished")))
        except ValueError as error:
            raise EvidenceError(
                f"{folder / STATEMENT} does not say when the run ended", fix="countersign verify shows what was changed"
            ) from error
        if now - finished > LATEST:
            return
        if TIMESTAMP not in store.names(sequence):
            yield _Missing(sequence, bytes.fromhex(read.digest.removeprefix("sha256:")), finished, sequence in declared)
        listed = read.predicate.get("unstamped")
        declared.update(listed if isinstance(listed, list) else ())


def _roots(file: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        raise _UnansweredError(f"the roots of the time-stamping authority in {file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _UnansweredError(f"{file} holds no certificates in PEM") from error


def _checked(token: bytes, entry: _Missing, roots: Sequence[x509.Certificate], now: datetime) -> datetime:
    """Return the time of a token that holds for an entry. Raises ValueError."""
    made = check_timestamp(token, entry.digest, roots, at=None)
    if abs(made - now) > CLOCKS:
        raise ValueError(f"the time-stamping authority's clock says {made:%Y-%m-%dT%H:%M:%SZ}, and this machine's {now:%Y-%m-%dT%H:%M:%SZ}")
    return made


def _ask(url: str, digest: bytes, seconds: float) -> bytes:
    """Send a question and return the answer as it is. Raises _UnansweredError in time, whatever the other side does."""
    if seconds <= 0:
        raise _UnansweredError("there was no time left to ask for more")
    answers = queue.SimpleQueue[bytes | str]()
    # Looking a name up has no time-out of its own, and an answer may come a byte at a time: the whole of it is waited for from outside.
    threading.Thread(target=lambda: answers.put(_post(url, _QUESTION + digest + _WITH_CERTIFICATES, seconds)), daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        answer = f"{url} did not answer within {seconds:.0f} seconds"
    if isinstance(answer, str):
        raise _UnansweredError(answer)
    return answer


def _post(url: str, question: bytes, seconds: float) -> bytes | str:
    """Return the answer, or why there is none."""
    import requests  # slow to import, and not needed where nothing is asked

    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    try:
        with requests.post(url, data=question, headers=headers, timeout=seconds, stream=True, allow_redirects=False) as answer:
            if answer.status_code != requests.codes.ok:
                return f"{url} answered with status {answer.status_code}"
            content = b""
            for part in answer.iter_content(65536):
                content += part
                if len(content) > _LARGEST:
                    return f"{url} answered with more than any timestamp"
            return content
    except requests.Timeout:
        return f"{url} did not answer within {seconds:.0f} seconds"
    except (requests.RequestException, OSError, ValueError) as error:
        # Not the library's own words: they may quote a proxy's password.
        return f"{url} could not be asked ({type(error).__name__})"
