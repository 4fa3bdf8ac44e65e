"""The bundle as one ZIP of one exact form, and the statement over its files.

The same files give the same bytes: names in order, one date, one mode, no optional field. Deflate itself is not exact (two
streams can unpack to one file, and zlib's builds differ), so the statement names the packed bytes too: whoever holds the
signed statement notices any changed byte of the ZIP, and whoever has only the unpacked files can still check those.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from countersign.errors import EvidenceError
from countersign.evidence import statement
from countersign.evidence.verify import BUNDLE, BUNDLE_TYPE, STATEMENT_TYPE, ZipEntry, is_portable, zip_central, zip_end, zip_local

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_BLOCK = 1 << 20
_STORED, _DEFLATED = 0, 8
_LARGEST = (1 << 32) - 1
_MOST_FILES = (1 << 16) - 1
_HEADERS = 128
"""More bytes than the headers of one file and the end of the ZIP take, without its name twice."""


@dataclass(frozen=True, slots=True)
class Packed:
    """One file of the bundle, as it goes into the ZIP."""

    entry: ZipEntry
    sha256: str
    """Hex, of the file."""
    packed: str
    """SHA-256 in hex of its bytes in the ZIP."""
    place: Path
    """Where the packed bytes wait."""


class Spool:
    """The files of a bundle, packed one by one as they are made, before anything is known of the others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Packed] = {}

    def add(self, name: str, content: bytes | Path) -> None:
        """Pack one file under its path in the bundle; a Path is read in blocks. Raises EvidenceError for a name twice or not portable."""
        if not is_portable(name) or not name.isascii() or name in self._files:
            raise EvidenceError(f"the bundle cannot hold a file called {name!r}", fix="this is a fault of the program: report it")
        place = self._folder / f"{len(self._files):06d}.packed"
        self._files[name] = _pack(name, content, place, _DEFLATED)

    def digests(self) -> dict[str, str]:
        """Path to SHA-256 hex of each file."""
        return {name: self._files[name].sha256 for name in sorted(self._files)}

    def packed(self) -> dict[str, str]:
        """Path to SHA-256 hex of each file's packed bytes."""
        return {name: self._files[name].packed for name in sorted(self._files)}

    def write(self, file: IO[bytes], envelope: bytes) -> tuple[str, int]:
        """Write the ZIP: the files so far and the signed statement over them, which alone is stored as it is.

        Returns `sha256:<hex>` and the size of what was written. Raises EvidenceError for a bundle that is too large.
        """
        signed = _pack(BUNDLE, envelope, self._folder / BUNDLE, _STORED)
        files = sorted((*self._files.values(), signed), key=lambda each: each.entry.name)
        whole = sum(_HEADERS + 2 * len(each.entry.name) + each.entry.packed for each in files)
        if whole > _LARGEST or max(each.entry.size for each in files) > _LARGEST or len(files) > _MOST_FILES:
            raise EvidenceError("the bundle would be larger than 4 GiB or hold more than 65,535 files", fix="export a shorter period")
        written, offset, central = hashlib.sha256(), 0, []

        def put(block: bytes) -> None:
            written.update(block)
            file.write(block)

        for each in files:
            entry = replace(each.entry, offset=offset)
            header = zip_local(entry)
            put(header)
            with each.place.open("rb") as packed:
                while block := packed.read(_BLOCK):
                    put(block)
            central.append(zip_central(entry))
            offset += len(header) + entry.packed
        listing = b"".join(central)
        end = zip_end(len(files), len(listing), offset)
        put(listing + end)
        file.flush()
        return f"sha256:{written.hexdigest()}", offset + len(listing) + len(end)


def build(spool: Spool, predicate: Mapping[str, object]) -> dict[str, Any]:
    """Make the in-toto Statement v1 over every file of the spool; `predicate` is what is said of the bundle, without `packed`."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in spool.digests().items()],
        "predicateType": BUNDLE_TYPE,
        "predicate": {**predicate, "packed": spool.packed()},
    }


def digest(made: Mapping[str, object]) -> str:
    """`sha256:<hex>` of a bundle's statement."""
    return statement.digest(statement.canonical(made))


@contextmanager
def beside(path: Path, *, mode: int = 0o644, force: bool) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when it is whole; one that is there already stays unless `force`.

    Raises EvidenceError where it cannot be written or exists.
    """
    part = unfinished(path)
    with ExitStack() as stack:
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            stack.callback(part.unlink, missing_ok=True)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                yield file
                file.flush()
                os.fsync(descriptor)
            if force:
                part.replace(path)
            else:
                # A link refuses an existing name in the one step that makes it; a rename would write over it.
                os.link(part, path)
        except FileExistsError as error:
            raise exists(path) from error
        except OSError as error:
            fix = "check the folder's permissions and free space"
            raise EvidenceError(f"{path} could not be written: {error.strerror}", fix=fix) from error


def unfinished(path: Path) -> Path:
    """Where a file lies that `beside` has opened and that has no name yet."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def exists(path: Path) -> EvidenceError:
    """Return the error for a file that is there already."""
    return EvidenceError(f"{path} exists already, and a bundle is not written over", fix="choose another name, or add --force")


def _pack(name: str, content: bytes | Path, place: Path, method: int) -> Packed:
    whole, packed, crc, size, packed_size = hashlib.sha256(), hashlib.sha256(), 0, 0, 0
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    with place.open("wb") as file:
        for block in _blocks(content):
            whole.update(block)
            crc, size = zlib.crc32(block, crc), size + len(block)
            out = deflate.compress(block) if method == _DEFLATED else block
            packed.update(out)
            packed_size += file.write(out)
        if method == _DEFLATED:
            out = deflate.flush()
            packed.update(out)
            packed_size += file.write(out)
    return Packed(ZipEntry(name, method, crc, packed_size, size, 0), whole.hexdigest(), packed.hexdigest(), place)


def _blocks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    with content.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block
