"""A folder of sealed runs: staged out of sight, claimed by one rename, each naming the statement before it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, TYPE_CHECKING, Protocol, Self

from countersign.errors import EvidenceError
from countersign.evidence import checkpoint, key_change, statement
from countersign.evidence.staged import BESIDE, check_intent, check_says, fail, freeze, hash_files, sync
from countersign.evidence.verify import CHECKPOINT, INTENT, STAGING, STATEMENT, is_portable, leaf_hash, read_envelope, root_of, run_folder

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.evidence.signer import Signer

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,127}")


@dataclass(frozen=True, slots=True)
class Head:
    """The last sealed run of a folder."""

    sequence: int
    """Counted from 1."""
    statement_digest: str
    """`sha256:<hex>` of the statement's payload."""


@dataclass(frozen=True, slots=True)
class Log:
    """What a builder of statements is told: its place in the chain, and the files it speaks for."""

    origin: str
    sequence: int | None
    """None for an intent, which claims no place."""
    previous_statement: str | None
    """`sha256:<hex>`; None before the first run."""
    subjects: Mapping[str, str]
    """Path inside the run to SHA-256 hex."""

    def entry(self) -> dict[str, str | int | None]:
        """Return the `log` of `statement.build`."""
        return {"origin": self.origin, "sequence": self.sequence, "previousStatement": self.previous_statement}


@dataclass(frozen=True, slots=True)
class Sealed:
    """One run in the listing."""

    path: Path
    sequence: int
    statement_digest: str


Build = Callable[[Log], Mapping[str, object]]
"""Makes the statement; called again with a new Log when another run was faster, so it reads the clock itself."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How far a store itself keeps an entry's files from being removed, as it says when asked."""

    until: datetime | None
    """The earliest of its files (UTC); None: the store enforces nothing, as a folder does not."""
    mode: str | None
    """`GOVERNANCE` or `COMPLIANCE`; None: nothing is enforced."""
    held: bool
    """Whether every file is under the store's own legal hold; a hold in a folder is only an entry of the ledger."""


class Store(Protocol):
    """Where sealed entries lie: a folder, or a bucket with a folder as its copy. Each method raises EvidenceError where it fails.

    A file of an entry is named by its sequence and its path inside the entry.
    """

    @property
    def folder(self) -> Path:
        """The local folder: the store itself, or the copy of it, in which files may be missing until they are fetched."""

    @property
    def origin(self) -> str:
        """Name of the chain."""

    def stage(self, run_id: str) -> Staging:
        """Make an empty staging folder for a run and hold it; an error when that run is staged already."""

    def adopt(self, run_id: str) -> Staging:
        """Take over a staging whose writer died; an error when it is gone or somebody holds it."""

    def interrupted(self) -> tuple[Path, ...]:
        """Stagings whose writer died or let go, by name."""

    def head(self) -> Head | None:
        """Return the last entry; None before the first."""

    def entries(self) -> Iterator[Sealed]:
        """Yield all entries in order; the statement of each (and what else is in `BESIDE`) is in its local folder then."""

    def seal(self, staging: Staging, build: Build, signer: Signer) -> Sealed:
        """Freeze what is staged, sign a statement over it and a checkpoint over the tree, and put the entry at the end of the chain."""

    def seal_intent(self, staging: Staging, build: Build, signer: Signer) -> str:
        """Sign what is about to be done, over the files staged so far; returns the intent's digest."""

    def fetch(self, sequence: int) -> Path:
        """Return the local folder of an entry, with every file that the store still has in it."""

    def put_once(self, sequence: int, name: str, content: bytes) -> None:
        """Add one of `BESIDE` to a sealed entry, whole or not at all; an error where there is such a file already."""

    def get(self, sequence: int, name: str) -> bytes:
        """Return a file of an entry."""

    def names(self, sequence: int) -> tuple[str, ...]:
        """Name the files of an entry that the store has, sorted."""

    def remove(self, sequence: int, names: Iterable[str]) -> None:
        """Remove files of an entry for good; those that are gone already are no error. Never one of `BESIDE`."""

    def retention_of(self, sequence: int) -> Retention:
        """Say how far the store itself protects an entry, read back from it."""

    def hold(self, sequence: int, *, on: bool) -> None:
        """Put the store's own legal hold on every file of an entry, or take it off; nothing where the store has none."""


class Staging:
    """The folder a run writes into before it is sealed; leaving the `with` block unsealed leaves it interrupted."""

    __slots__ = ("_lock", "folder", "run_id")

    def __init__(self, folder: Path, lock: IO[bytes]) -> None:
        self.folder = folder
        self.run_id = folder.name
        self._lock = lock

    @property
    def held(self) -> bool:
        """False once sealed or released."""
        return not self._lock.closed

    def release(self) -> None:
        """Give up the lock: what is staged stays, and `FolderStore.interrupted` reports it."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


class FolderStore:
    """Evidence in a local folder, shared by any number of writers; `origin` names the chain (the customer)."""

    def __init__(self, folder: Path, *, origin: str = "countersign") -> None:
        checkpoint.check_origin(origin)
        self.folder = folder
        self.origin = origin
        self._staging = folder / STAGING

    def stage(self, run_id: str) -> Staging:
        """Make an empty staging folder for a run and hold it. Raises EvidenceError when that run is staged already."""
        if not _RUN_ID.fullmatch(run_id) or run_id.endswith((".lock", ".part")):
            raise EvidenceError(f"not a run id: {run_id!r}", fix="letters, digits and _ . : + - only")
        with self._writing():
            self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._hold(run_id)
            try:
                (self._staging / run_id).mkdir(mode=0o700)
            except FileExistsError:
                lock.close()
                raise EvidenceError(f"run {run_id} is staged already and was interrupted", fix="adopt it, or use a new run id") from None
            except OSError:
                self._lock_path(run_id).unlink(missing_ok=True)
                lock.close()
                raise
        return Staging(self._staging / run_id, lock)

    def adopt(self, run_id: str) -> Staging:
        """Take over a staging whose writer died. Raises EvidenceError when it is gone or somebody holds it."""
        with self._writing():
            lock = self._hold(run_id) if run_id in self._staged() else None
            if lock is None or run_id not in self._staged():
                if lock is not None:
                    self._lock_path(run_id).unlink(missing_ok=True)
                    lock.close()
                raise EvidenceError(f"there is no interrupted run {run_id!r}")
        return Staging(self._staging / run_id, lock)

    def interrupted(self) -> tuple[Path, ...]:
        """Stagings whose writer died or let go, by name. Raises EvidenceError when the folder cannot be read."""
        with self._writing():
            return tuple(self._staging / name for name in self._staged() if self._is_free(name))

    def head(self) -> Head | None:
        """Return the last sealed run, None when there is none. Raises EvidenceError when its statement is broken."""
        numbers = self._numbers()
        if not numbers:
            return None
        last = self._sealed(numbers[-1])
        return Head(last.sequence, last.statement_digest)

    def entries(self) -> Iterator[Sealed]:
        """Yield the sealed runs in order. Raises EvidenceError at one whose statement is broken."""
        return map(self._sealed, self._numbers())

    def seal(self, staging: Staging, build: Build, signer: Signer) -> Sealed:
        """Hash and freeze what is staged, sign a statement over it, and put the run at the end of the chain.

        Empty folders are dropped, files become read-only; a signed checkpoint of the tree that ends with this run goes with it.
        Raises EvidenceError, and then nothing is in the listing: a link or device among the files, a file changed after the
        intent, a statement that does not say what it was told, a history that is not the one of the last checkpoint,
        a full or read-only disk.
        """
        self._check_held(staging)
        with self._writing():
            freeze(staging.folder)
            subjects = hash_files(staging.folder)
            check_intent(staging.folder, subjects)
            while True:
                head = self.head()
                previous = None if head is None else head.statement_digest
                log = Log(self.origin, 1 if head is None else head.sequence + 1, previous, MappingProxyType(subjects))
                leaves = checkpoint.leaves(self.folder, self._numbers(), self.origin)
                if len(leaves) != (log.sequence or 1) - 1:
                    continue
                key_change.check_may_sign(self.folder / run_folder(len(leaves)) if leaves else None, signer)
                signed = self._write(staging, STATEMENT, log, build, signer)
                leaves.append(leaf_hash(read_envelope(staging.folder / STATEMENT).payload))
                self._place(staging.folder / CHECKPOINT, checkpoint.write(self.origin, len(leaves), root_of(leaves), signer))
                target = self.folder / run_folder(log.sequence or 1)
                try:
                    staging.folder.rename(target)
                except OSError as error:
                    # POSIX: a folder replaces an empty folder only, so a claimed number cannot be claimed again.
                    if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                        raise
                    continue
                break
            sync(self.folder)
            sync(self._staging)
            self._lock_path(staging.run_id).unlink(missing_ok=True)
            staging.release()
        return Sealed(target, log.sequence or 1, signed)

    def seal_intent(self, staging: Staging, build: Build, signer: Signer) -> str:
        """Sign what is about to be done, over the files staged so far, as `intent.dsse.json`; returns its digest.

        It claims no place in the chain, but names the head of the time. The files it covers must not change any more.
        Raises EvidenceError, also when the run has an intent already, and where the history was changed.
        """
        self._check_held(staging)
        with self._writing():
            if (staging.folder / INTENT).exists():
                raise EvidenceError(f"run {staging.run_id} has sealed its intent already")
            head = self.head()
            # What is about to be done has to go on record: where the ledger cannot be continued, it is not done.
            checkpoint.leaves(self.folder, self._numbers(), self.origin)
            previous = None if head is None else head.statement_digest
            key_change.check_may_sign(None if head is None else self.folder / run_folder(head.sequence), signer)
            log = Log(self.origin, None, previous, MappingProxyType(hash_files(staging.folder)))
            return self._write(staging, INTENT, log, build, signer)

    def fetch(self, sequence: int) -> Path:
        """Return the folder of a run. Raises EvidenceError when there is none."""
        path = self.folder / run_folder(sequence)
        if not path.is_dir():
            raise EvidenceError(
                f"there is no run {run_folder(sequence)} in {self.folder}", fix="`countersign evidence list` shows what is there"
            )
        return path

    def put_once(self, sequence: int, name: str, content: bytes) -> None:
        """Add a file of `BESIDE` to a sealed run. Raises EvidenceError where it has one already."""
        if name not in BESIDE:
            raise EvidenceError(f"{name!r} cannot be added to a sealed run")
        with self._writing():
            self._staging.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._place(self.fetch(sequence) / name, content, once=True)

    def get(self, sequence: int, name: str) -> bytes:
        """Return a file of a run. Raises EvidenceError when it cannot be read."""
        path = self.fetch(sequence) / name
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                return file.read()
        except OSError as error:
            raise EvidenceError(f"{path} cannot be read: {error.strerror}", fix="countersign verify shows what was changed") from error

    def names(self, sequence: int) -> tuple[str, ...]:
        """Name the files of a run, sorted."""
        folder = self.fetch(sequence)
        with self._writing():
            walked = [(root, files) for root, _, files in os.walk(folder, onerror=fail)]
        return tuple(sorted(Path(root, name).relative_to(folder).as_posix() for root, files in walked for name in files))

    def remove(self, sequence: int, names: Iterable[str]) -> None:
        """Remove files of a run, and the folders that are empty then. Raises EvidenceError as for a path out of the run."""
        folder = self.fetch(sequence)
        with self._writing():
            for name in names:
                if name in BESIDE or not is_portable(name) or any((folder / part).is_symlink() for part in Path(name).parents):
                    raise EvidenceError(f"{name!r} of run {run_folder(sequence)} is not removed", fix="countersign verify")
                (folder / name).unlink(missing_ok=True)
            for root, _, _ in os.walk(folder, topdown=False, onerror=fail):
                if Path(root) != folder and not os.listdir(root):  # noqa: PTH208  # emptiness needs no paths
                    Path(root).rmdir()
            sync(folder)

    def retention_of(self, sequence: int) -> Retention:
        """Say that a folder enforces nothing. Raises EvidenceError when there is no such run."""
        self.fetch(sequence)
        return Retention(None, None, held=False)

    def hold(self, sequence: int, *, on: bool) -> None:
        """Do nothing: a folder cannot be held. Raises EvidenceError when there is no such run."""
        del on
        self.fetch(sequence)

    def _write(self, staging: Staging, name: str, log: Log, build: Build, signer: Signer) -> str:
        made = build(log)
        check_says(made, log)
        content, signed = statement.sign(made, signer)
        self._place(staging.folder / name, content)
        return signed

    def _place(self, path: Path, content: bytes, *, once: bool = False) -> None:
        # Written beside the staging and moved in whole, so that a crash leaves no half file among the run's.
        # What is added once may be added by two at a time; what is staged has one writer, who finds what a dead one left.
        writer = f"-{os.getpid()}-{threading.get_ident()}" if once else ""
        part = self._staging / f"{path.parent.name}{writer}.part"
        part.unlink(missing_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            if once:
                path.hardlink_to(part)
            else:
                part.replace(path)
        except FileExistsError:
            raise EvidenceError(f"{path} is there already, and evidence is never overwritten") from None
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)

    def _numbers(self) -> list[int]:
        with self._writing():
            names = os.listdir(self.folder) if self.folder.is_dir() else []  # noqa: PTH208  # names, not paths
        return sorted(int(name) for name in names if name.isascii() and name.isdigit() and name == run_folder(int(name)))

    def _sealed(self, sequence: int) -> Sealed:
        path = self.folder / run_folder(sequence)
        made = statement.read(path / STATEMENT)
        if (made.sequence, made.origin) != (sequence, self.origin):
            raise EvidenceError(
                f"{path} says that it is run {made.sequence} of {made.origin!r}, not run {sequence} of {self.origin!r}",
                fix="keep one evidence folder for each origin; countersign verify shows what was changed",
            )
        return Sealed(path, sequence, made.digest)

    def _staged(self) -> list[str]:
        if not self._staging.is_dir():
            return []
        return sorted(entry.name for entry in self._staging.iterdir() if entry.is_dir() and not entry.is_symlink())

    def _lock_path(self, run_id: str) -> Path:
        return self._staging / f"{run_id}.lock"

    def _hold(self, run_id: str) -> IO[bytes]:
        path = self._lock_path(run_id)
        lock = path.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_ino == path.stat().st_ino:
                return lock
        except (BlockingIOError, FileNotFoundError):
            pass
        lock.close()
        raise EvidenceError(f"run {run_id} is being written by another process", fix="wait for it, or use a new run id")

    def _is_free(self, run_id: str) -> bool:
        try:
            with self._lock_path(run_id).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            pass
        # A writer that has just sealed lets go of the lock after the folder has left.
        return (self._staging / run_id).is_dir()

    def _check_held(self, staging: Staging) -> None:
        if not staging.held or staging.folder.parent != self._staging:
            raise EvidenceError(f"run {staging.run_id} is not staged here: it was sealed or released", fix="stage it first")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EvidenceError(
                f"evidence could not be kept in {self.folder}: {error.strerror}: {error.filename}",
                fix="check the folder's permissions and free space; what is staged is kept and can be adopted",
            ) from error
