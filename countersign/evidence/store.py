"""A folder of sealed runs: staged out of sight, claimed by one rename, each naming the statement before it."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, TYPE_CHECKING, Self

from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import INTENT, STAGING, STATEMENT, is_portable, run_folder

if TYPE_CHECKING:
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

        Empty folders are dropped, files become read-only. Raises EvidenceError, and then nothing is in the listing:
        a link or device among the files, a file changed after the intent, a statement that does not say what it
        was told, a full or read-only disk.
        """
        self._check_held(staging)
        with self._writing():
            _freeze(staging.folder)
            subjects = _hash(staging.folder, without=STATEMENT)
            _check_intent(staging.folder, subjects)
            while True:
                head = self.head()
                previous = None if head is None else head.statement_digest
                log = Log(self.origin, 1 if head is None else head.sequence + 1, previous, MappingProxyType(subjects))
                signed = self._write(staging, STATEMENT, log, build, signer)
                target = self.folder / run_folder(log.sequence or 1)
                try:
                    staging.folder.rename(target)
                except OSError as error:
                    # POSIX: a folder replaces an empty folder only, so a claimed number cannot be claimed again.
                    if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                        raise
                    continue
                break
            _sync(self.folder)
            _sync(self._staging)
            self._lock_path(staging.run_id).unlink(missing_ok=True)
            staging.release()
        return Sealed(target, log.sequence or 1, signed)

    def seal_intent(self, staging: Staging, build: Build, signer: Signer) -> str:
        """Sign what is about to be done, over the files staged so far, as `intent.dsse.json`; returns its digest.

        It claims no place in the chain, but names the head of the time. The files it covers must not change any more.
        Raises EvidenceError, also when the run has an intent already.
        """
        self._check_held(staging)
        with self._writing():
            if (staging.folder / INTENT).exists():
                raise EvidenceError(f"run {staging.run_id} has sealed its intent already")
            head = self.head()
            previous = None if head is None else head.statement_digest
            log = Log(self.origin, None, previous, MappingProxyType(_hash(staging.folder, without=STATEMENT)))
            return self._write(staging, INTENT, log, build, signer)

    def _write(self, staging: Staging, name: str, log: Log, build: Build, signer: Signer) -> str:
        made = build(log)
        _check_says(made, log)
        content, signed = statement.sign(made, signer)
        # Written beside the staging and moved in whole, so that a crash leaves no half envelope among the run's files.
        part = self._staging / f"{staging.run_id}.part"
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o444)
            os.fsync(file.fileno())
        part.replace(staging.folder / name)
        _sync(staging.folder)
        return signed

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


def _freeze(folder: Path) -> None:
    """Drop empty folders and make files read-only."""
    for root, _, files in os.walk(folder, topdown=False, onerror=_raise):
        for name in files:
            path = Path(root, name)
            if stat.S_ISREG(path.lstat().st_mode):
                path.chmod(0o444)
        if Path(root) != folder and not os.listdir(root):  # noqa: PTH208  # emptiness needs no paths
            Path(root).rmdir()


def _hash(folder: Path, *, without: str) -> dict[str, str]:
    """Path to SHA-256 hex of every file below the folder, written through to the disk. Raises EvidenceError for links and devices."""
    found = {}
    for root, folders, files in os.walk(folder, onerror=_raise):
        for name in (*folders, *files):
            path = Path(root, name)
            inside = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise EvidenceError(
                    f"{inside!r} in the run's folder is a link or a device, not a file", fix="copy the file itself into the run's folder"
                )
            if not is_portable(inside):
                raise EvidenceError(
                    f"{inside!r} in the run's folder has a name with a backslash or a character that is no text",
                    fix="give the file another name",
                )
            if stat.S_ISREG(mode) and inside != without:
                with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    found[inside] = hashlib.file_digest(file, "sha256").hexdigest()
                    os.fsync(file.fileno())
        _sync(Path(root))
    return found


def _check_says(made: Mapping[str, object], log: Log) -> None:
    listed = made.get("subject")
    predicate = made.get("predicate")
    says = {subject["name"]: subject["digest"]["sha256"] for subject in listed} if isinstance(listed, list) else None
    if says != dict(log.subjects) or not isinstance(predicate, Mapping) or predicate.get("log") != log.entry():
        raise EvidenceError("the statement does not say what it was told: it must hold Log.subjects and Log.entry()")


def _check_intent(folder: Path, subjects: Mapping[str, str]) -> None:
    if INTENT not in subjects:
        return
    for name, sha256 in statement.read(folder / INTENT).subjects.items():
        if subjects.get(name) != sha256:
            raise EvidenceError(
                f"{name!r} was changed or removed after the intent that covers it was sealed", fix="write receipts into files of their own"
            )


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    raise error
