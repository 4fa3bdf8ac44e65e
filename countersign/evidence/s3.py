"""Evidence in S3 under Object Lock: files first, each retention read back, then one conditional put claims the entry.

Below the prefix, `00000042/` holds the statement, checkpoint and timestamp of entry 42, and `files/<run>/` what that statement lists.
The put of `00000042/statement.dsse.json` is the claim: until then nothing speaks for what lies under `files/`. The checkpoint goes with
the claim as metadata, so that the two are one act, and is put beside it afterwards. Whoever can write to the bucket can add objects and
hide others behind delete markers; so every version is looked at, the oldest of a key counts, and each is held against what was signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.errors import EvidenceError
from countersign.evidence import checkpoint, key_change, statement
from countersign.evidence.bucket import Bucket, Version
from countersign.evidence.s3_entry import (
    FILES,
    Upload,
    each_of,
    files_of,
    is_number,
    kept_until,
    locked_until,
    move,
    predicate_of,
    with_store,
)
from countersign.evidence.signer import SSlibKey, read_public, signs
from countersign.evidence.staged import BESIDE, check_intent, check_says, freeze, hash_files, sync
from countersign.evidence.store import FolderStore, Log, Retention, Sealed
from countersign.evidence.verify import CHECKPOINT, STATEMENT, leaf_hash, pae, read_envelope, read_statement, root_of, run_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from countersign.evidence.signer import Signer
    from countersign.evidence.store import Build, Staging
    from countersign.evidence.verify import Statement

_RESTORE = "look at who may write to the bucket; `countersign verify` shows what was changed, and nothing is sealed until then"

_Versions = tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something in the bucket that no run of ours has done, or has not finished."""

    key: str
    """Below the prefix."""
    what: str
    foreign: bool = True
    """False: a run of ours has put it, and died before it claimed a place."""


class S3Store(FolderStore):
    """Evidence in a bucket (`s3://bucket/prefix`), with a local folder as its copy.

    The copy has the statement of every entry, and of an entry that was fetched its files; it may be deleted. `mode` is that of Object
    Lock; `keys` are the public keys (PEM files), one of which must have signed what is fetched.
    """

    def __init__(  # noqa: PLR0913 - what the settings say of a bucket
        self,
        uri: str,
        folder: Path,
        *,
        origin: str = "countersign",
        mode: str = "COMPLIANCE",
        region: str | None = None,
        endpoint: str | None = None,
        keys: Sequence[Path] = (),
    ) -> None:
        super().__init__(folder, origin=origin)
        self.bucket = Bucket(uri, region=region, endpoint=endpoint, mode=mode)
        self._key_files = tuple(keys)

    @cached_property
    def _keys(self) -> Mapping[str, SSlibKey]:
        return {key.keyid: key for key in map(read_public, self._key_files)}

    # --- what earlier runs have left

    def stage(self, run_id: str) -> Staging:
        """Make an empty staging folder for a run and hold it. Raises EvidenceError also where the bucket cannot lock objects."""
        self.bucket.check_lock()
        return super().stage(run_id)

    def interrupted(self) -> tuple[Path, ...]:
        """Stagings whose writer died or let go, by name; one whose entry is in the bucket was sealed, and its staging is dropped."""
        left = super().interrupted()
        if not left:
            return left
        sealed = {statement.read(entry.path / STATEMENT).run for entry in self.entries()}
        for folder in left:
            if folder.name in sealed and self._is_free(folder.name):
                self._drop(folder)
        return super().interrupted()

    def _numbers(self) -> list[int]:
        """Bring the statements of the local copy up to date, and list the entries."""
        here = super()._numbers()
        known = {number for number in here if (self.folder / run_folder(number) / STATEMENT).exists()}
        first = next(number for number in range(1, len(known) + 2) if number not in known)
        # From the last one that is here: also to see that it is there, and as it is here.
        there = self._listed(first - 1)
        if first > 1 and first - 1 not in there:
            raise EvidenceError(
                f"entry {run_folder(first - 1)} of the local copy {self.folder} is not in {self.bucket.uri}",
                fix="name the bucket that this evidence was sealed into, or an empty folder as `copy`",
            )
        last = max(there, default=0)
        gone = next((number for number in range(first, last + 1) if number not in there), None)
        if gone is not None:
            raise EvidenceError(f"entry {run_folder(gone)} is missing from {self.bucket.uri}", fix=_RESTORE)
        each_of(lambda number: self._bring(number, there[number]), [number for number in range(first, last + 1) if number not in known])
        return list(range(1, last + 1))

    def _listed(self, first: int) -> dict[int, dict[str, _Versions]]:
        """List the entries from one on: sequence to name to versions, also where a delete marker hides them."""
        found: dict[int, dict[str, _Versions]] = {}
        after = f"{run_folder(first - 1)}/{STATEMENT}" if first > 1 else None
        for key, versions in self.bucket.versions(after=after):
            number, _, name = key.partition("/")
            if number == FILES:
                break  # behind all digits
            real = tuple(each for each in versions if not each.marker)
            if (
                number.isascii()
                and number.isdigit()
                and number == run_folder(int(number))
                and int(number) >= first
                and name in BESIDE
                and real
            ):
                found.setdefault(int(number), {})[name] = real
        return {number: names for number, names in found.items() if STATEMENT in names}

    def _bring(self, number: int, names: Mapping[str, _Versions]) -> None:
        """Fetch the statement of an entry that the local copy lacks, and what lies beside it."""
        with self._writing(), self._beside() as name:
            made = Path(name)
            read = self.bucket.read(names[STATEMENT][0])
            if read is None:
                raise EvidenceError(f"the statement of entry {run_folder(number)} is gone from {self.bucket.uri}", fix=_RESTORE)
            envelope, metadata = read
            (made / STATEMENT).write_bytes(envelope)
            self._believed(made / STATEMENT, number)
            for beside in sorted(names.keys() - {STATEMENT}):
                content = self.bucket.read(names[beside][0])
                if content is not None:
                    (made / beside).write_bytes(content[0])
            if "checkpoint" in metadata:
                # The claim's own counts: its writer may have died before it lay beside it, or somebody else was faster.
                (made / CHECKPOINT).write_bytes(base64.b64decode(metadata["checkpoint"]))
            for path in made.iterdir():
                path.chmod(0o444)
            move(made, self.folder / run_folder(number))

    def _complete(self, folder: Path) -> None:
        """Fetch the files that the local copy of an entry lacks, and that the bucket still has."""
        said = statement.read(folder / STATEMENT)
        missing = [name for name in said.subjects if not (folder / name).exists()]
        if missing:
            with self._writing(), self._beside() as made:
                self._get_files(said, missing, Path(made))
                move(Path(made), folder)

    def _get_files(self, said: Statement, names: Iterable[str], into: Path) -> None:
        """Fetch files of an entry, each from the version that is as signed; one that has no such version is left out."""
        prefix = files_of(said)
        wanted = set(names)
        if prefix is None or not wanted:
            return
        found = {key.removeprefix(f"{prefix}/"): versions for key, versions in self.bucket.versions(f"{prefix}/")}

        def get(name: str) -> None:
            path = into / name
            path.parent.mkdir(parents=True, exist_ok=True)
            for version in found[name]:
                if not version.marker and self.bucket.save(version, path) == said.subjects[name]:
                    path.chmod(0o444)
                    return
            path.unlink(missing_ok=True)

        each_of(get, sorted(wanted & found.keys()))

    def _believed(self, path: Path, number: int) -> Statement:
        """Read a fetched statement. Raises EvidenceError unless one of our keys has signed it for this place."""
        place = f"{self.bucket.uri}/{run_folder(number)}/{STATEMENT}"
        try:
            envelope = read_envelope(path)
            said = read_statement(envelope.payload)
        except ValueError as error:
            raise EvidenceError(f"{place} is no statement: {error}", fix=_RESTORE) from error
        if not any(keyid in self._keys and signs(self._keys[keyid], signature, pae(envelope)) for keyid, signature in envelope.signatures):
            raise EvidenceError(
                f"{place} is not signed by a key of this programme",
                fix="put the public half of the key that signed it into keys/, as NAME.pub.pem; if it is not yours, somebody else wrote it",
            )
        if (said.sequence, said.origin) != (number, self.origin):
            raise EvidenceError(f"{place} says that it is entry {said.sequence} of {said.origin!r}", fix=_RESTORE)
        return said

    # --- one entry more

    def seal(self, staging: Staging, build: Build, signer: Signer) -> Sealed:
        """Put what is staged into the bucket, locked, and claim the next place in the chain with a signed statement over it.

        The statement's predicate must say `retainUntil`; `store` is added to it: where the files are, how many, and the mode and
        earliest end of their retention as read back. Raises EvidenceError as a folder's `seal` does, and where the bucket refuses or
        does not lock as it was told: then nothing is claimed, and what is staged is kept.
        """
        self._check_held(staging)
        with self._writing():
            freeze(staging.folder)
            subjects = MappingProxyType(hash_files(staging.folder))
            check_intent(staging.folder, subjects)
            self.bucket.check_lock()
            log = self._next(subjects)
            self._refuse_sealed(staging.run_id, log)
            upload = self._upload(staging, subjects, locked_until(kept_until(predicate_of(build(log)))))
            while True:
                made = build(log)
                check_says(made, log)
                if kept_until(predicate_of(made)) > upload.until:
                    upload = self._extended(upload, locked_until(kept_until(predicate_of(made))))
                if self._claim(staging, log, with_store(made, self.bucket.uri, upload), upload.until, signer):
                    break
                log = self._next(subjects)
            number = log.sequence or 1
            move(staging.folder, self.folder / run_folder(number))
            sync(self.folder)
            self._drop(staging.folder)
            staging.release()
        return self._sealed(number)

    def _refuse_sealed(self, run_id: str, log: Log) -> None:
        """Refuse a run whose claim has held although its answer was lost: it is sealed, and must not be a second time."""
        mark = b'"run":' + json.dumps(run_id).encode()
        for number in range(1, log.sequence or 1):
            path = self.folder / run_folder(number) / STATEMENT
            if mark in read_envelope(path).payload and statement.read(path).run == run_id:
                raise EvidenceError(f"run {run_id} is sealed already, as entry {run_folder(number)}", fix="run the command again")

    def _next(self, subjects: Mapping[str, str]) -> Log:
        head = self.head()
        if head is not None:
            self._finish(head.sequence)
        number, previous = (1, None) if head is None else (head.sequence + 1, head.statement_digest)
        return Log(self.origin, number, previous, subjects)

    def _finish(self, number: int) -> None:
        """Put the checkpoint of an entry beside its statement, where its writer died after the claim."""
        there = {key.partition("/")[2]: versions[0] for key, versions in self.bucket.versions(f"{run_folder(number)}/")}
        note = self.folder / run_folder(number) / CHECKPOINT
        if CHECKPOINT not in there and note.exists():
            until = self.bucket.lock_of(there[STATEMENT]).until
            if until is not None:
                content = note.read_bytes()
                self.bucket.put(f"{run_folder(number)}/{CHECKPOINT}", content, hashlib.sha256(content).hexdigest(), until)

    def _upload(self, staging: Staging, subjects: Mapping[str, str], until: datetime) -> Upload:
        """Put each file, and read each lock back. A prefix that a dead writer has used is left as it is."""
        prefix = next(
            prefix
            for prefix in (f"{FILES}/{staging.run_id}{suffix}" for suffix in ("", *(f".{count}" for count in range(2, 1000))))
            if next(self.bucket.versions(f"{prefix}/"), None) is None
        )

        def put(name: str) -> Version:
            path = staging.folder / name
            version = self.bucket.put(f"{prefix}/{name}", path, subjects[name], until)
            if version is None:
                raise EvidenceError(f"{self.bucket.uri}/{prefix}/{name} was written by somebody else just now", fix="run it again")
            return Version(f"{prefix}/{name}", version, path.stat().st_size, latest=True, marker=False)

        versions = tuple(each_of(put, sorted(subjects)))
        mode, earliest = self._read_back(versions, until)
        return Upload(prefix, versions, mode, earliest)

    def _extended(self, upload: Upload, until: datetime) -> Upload:
        each_of(lambda version: self.bucket.extend(version, until), upload.versions)
        mode, earliest = self._read_back(upload.versions, until)
        return Upload(upload.prefix, upload.versions, mode, earliest)

    def _read_back(self, versions: _Versions, until: datetime) -> tuple[str, datetime]:
        """Return mode and earliest end of the files' locks. Raises EvidenceError where one falls short of what was asked for."""
        earliest = until
        for version, lock in zip(versions, each_of(self.bucket.lock_of, versions), strict=True):
            if lock.mode not in {self.bucket.mode, "COMPLIANCE"} or lock.until is None or lock.until < until:
                said = "no retention" if lock.mode is None or lock.until is None else f"{lock.mode} until {stamp(lock.until)}"
                raise EvidenceError(
                    f"the bucket says {said} for {self.bucket.uri}/{version.key}, not {self.bucket.mode} until {stamp(until)}",
                    fix="allow s3:PutObjectRetention and s3:GetObjectRetention, and look at the bucket's Object Lock",
                )
            earliest = min(earliest, lock.until)
        return self.bucket.mode, earliest

    def _claim(self, staging: Staging, log: Log, made: Mapping[str, object], until: datetime, signer: Signer) -> bool:
        """Sign and claim a place; False where somebody else has it."""
        number = log.sequence or 1
        before = range(1, number)
        leaves = checkpoint.leaves(self.folder, list(before), self.origin)
        key_change.check_may_sign(self.folder / run_folder(number - 1) if leaves else None, signer)
        envelope, _ = statement.sign(made, signer)
        self._place(staging.folder / STATEMENT, envelope)
        leaves.append(leaf_hash(read_envelope(staging.folder / STATEMENT).payload))
        note = checkpoint.write(self.origin, number, root_of(leaves), signer)
        key = f"{run_folder(number)}/{STATEMENT}"
        carried = {"checkpoint": base64.b64encode(note).decode()}
        put = self.bucket.put(key, envelope, hashlib.sha256(envelope).hexdigest(), until, metadata=carried)
        # The oldest version counts: behind a delete marker a place can be claimed again, and an answer that was lost leaves our own.
        oldest = next((versions[0] for found, versions in self.bucket.versions(key) if found == key), None)
        if oldest is None or oldest.marker:
            return False
        if oldest.version != put:
            read = self.bucket.read(oldest)
            if read is None or read[0] != envelope:
                (staging.folder / STATEMENT).unlink()
                return False
        self._place(staging.folder / CHECKPOINT, note)
        # The claim holds, and carries the checkpoint: whoever seals next puts it there where this cannot.
        with suppress(EvidenceError):
            self.bucket.put(f"{run_folder(number)}/{CHECKPOINT}", note, hashlib.sha256(note).hexdigest(), until)
        return True

    # --- files of an entry

    def fetch(self, sequence: int) -> Path:
        """Return the local folder of an entry, with every file that the bucket still has. Raises EvidenceError."""
        self._complete(self._folder_of(sequence))
        return self.folder / run_folder(sequence)

    def _folder_of(self, sequence: int) -> Path:
        if not (self.folder / run_folder(sequence) / STATEMENT).exists() and sequence not in self._numbers():
            raise EvidenceError(
                f"there is no entry {run_folder(sequence)} in {self.bucket.uri}", fix="`countersign evidence list` shows what is there"
            )
        return self.folder / run_folder(sequence)

    def put_once(self, sequence: int, name: str, content: bytes) -> None:
        """Add a file of `BESIDE` to an entry, locked as long as the entry is. Raises EvidenceError where it has one already."""
        if name not in BESIDE:
            raise EvidenceError(f"{name!r} cannot be added to a sealed run")
        until = kept_until(statement.read(self._folder_of(sequence) / STATEMENT).predicate)
        key = f"{run_folder(sequence)}/{name}"
        if self.bucket.put(key, content, hashlib.sha256(content).hexdigest(), until) is None:
            raise EvidenceError(f"{self.bucket.uri}/{key} exists already, and evidence is never overwritten")
        super().put_once(sequence, name, content)

    def names(self, sequence: int) -> tuple[str, ...]:
        """Name the files of an entry that the bucket has, also behind a delete marker. Raises EvidenceError."""
        return tuple(sorted(self._of(sequence)))

    def remove(self, sequence: int, names: Iterable[str]) -> None:
        """Remove every version of files of an entry, there and here. Raises EvidenceError, as when the bucket still locks them."""
        wanted = tuple(names)
        there = self._of(sequence)
        each_of(self.bucket.delete, [version for name in wanted if name not in BESIDE for version in there.get(name, ())])
        super().remove(sequence, wanted)

    def retention_of(self, sequence: int) -> Retention:
        """Return the earliest end, the weakest mode and the legal hold over all of an entry's objects, read back. Raises EvidenceError."""
        real = [next(each for each in versions if not each.marker) for versions in self._of(sequence).values()]
        locks = list(each_of(self.bucket.lock_of, real))
        if not locks or any(lock.mode is None or lock.until is None for lock in locks):
            return Retention(None, None, held=bool(locks) and all(lock.held for lock in locks))
        weakest = "GOVERNANCE" if any(lock.mode == "GOVERNANCE" for lock in locks) else "COMPLIANCE"
        return Retention(min(lock.until for lock in locks if lock.until is not None), weakest, held=all(lock.held for lock in locks))

    def hold(self, sequence: int, *, on: bool) -> None:
        """Put S3's legal hold on every version of every object of an entry, or take it off. Raises EvidenceError."""
        real = [each for versions in self._of(sequence).values() for each in versions if not each.marker]
        each_of(lambda version: self.bucket.hold(version, on=on), real)

    def _of(self, sequence: int) -> dict[str, _Versions]:
        """List the objects of an entry: name to versions, markers too, for every name that has a real version."""
        files = files_of(statement.read(self._folder_of(sequence) / STATEMENT))
        found: dict[str, _Versions] = {}
        for prefix in (run_folder(sequence), *([] if files is None else [files])):
            for key, versions in self.bucket.versions(f"{prefix}/"):
                if any(not each.marker for each in versions):
                    found[key.removeprefix(f"{prefix}/")] = versions
        return found

    def notices(self) -> tuple[Notice, ...]:
        """Look at every version of every object, and name what no run of ours does: deleted, overwritten, strange, never claimed."""
        claimed = {files_of(statement.read(entry.path / STATEMENT)) for entry in self.entries()}
        found: list[Notice] = []
        for key, versions in self.bucket.versions():
            head, _, rest = key.partition("/")
            upload = f"{FILES}/{rest.partition('/')[0]}"
            if head == FILES and upload not in claimed:
                found.append(Notice(key, "was put by a run that never claimed a place, and is part of no entry", foreign=False))
                continue
            if head != FILES and not (is_number(head) and rest in BESIDE):
                found.append(Notice(key, "is not part of the evidence"))
                continue
            real = sum(not each.marker for each in versions)
            if versions[-1].marker:
                found.append(Notice(key, "was deleted by somebody; the locked version is still there and is what counts"))
            if real > 1:
                found.append(Notice(key, f"was overwritten by somebody, {real - 1} times; the oldest version is what counts"))
        return tuple(found)

    # --- the local copy

    def _beside(self) -> tempfile.TemporaryDirectory[str]:
        """Make a folder on the copy's own disk, so that what is fetched moves in whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=f".{self.folder.name}-", ignore_cleanup_errors=True)

    def _drop(self, folder: Path) -> None:
        """Remove a staging whose entry is in the bucket."""
        shutil.rmtree(folder, ignore_errors=True)
        self._lock_path(folder.name).unlink(missing_ok=True)
