"""Looks for secrets in bytes of any kind: unpacked as far as they can be, and in the forms in which a secret may have been written."""

from __future__ import annotations

import base64
import binascii
import gzip
import html
import io
import json
import lzma
import re
import sqlite3
import tempfile
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import duckdb
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
_DEEPEST = 8
_STREAMS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x28\xb5\x2f\xfd", "zstd", lambda data: zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()),
    (b"\x1f\x8b", "gzip", gzip.decompress),
    (b"\xfd7zXZ", "xz", lzma.decompress),
    *((magic, "zlib", zlib.decompress) for magic in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")),
)
"""What a packed stream begins with, what it is, and what unpacks it."""


def forms(secret: bytes) -> frozenset[bytes]:
    """Every way of writing a secret that is looked for."""
    found = {secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode()}
    for before in range(3):
        # Where it lies within three bytes decides its base64; what its neighbours have a part in is cut off.
        whole = base64.b64encode(b"\0" * before + secret)
        inner = whole[-(-before * 4 // 3) : len(whole) - (4 if (before + len(secret)) % 3 else 0)]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return frozenset(found)
    found |= {text.encode("utf-16-le"), text.encode("utf-16-be"), html.escape(text).encode(), json.dumps(text)[1:-1].encode()}
    found |= {quote(text, safe="").encode(), quote_plus(text).encode(), "".join(f"%{byte:02X}" for byte in secret).encode()}
    return frozenset(found)


@dataclass
class Sweep:
    """Secrets to look for, by what they are; and what was found, as (place, what)."""

    secrets: dict[str, bytes]
    found: set[tuple[str, str]] = field(default_factory=set)
    looked: int = 0
    """Bytes looked through, once unpacked."""
    kinds: set[str] = field(default_factory=set)
    """Kinds of container that were opened."""

    def __post_init__(self) -> None:
        short = [what for what, secret in self.secrets.items() if len(secret) < 12]
        assert short == [], "too short to be told from chance"
        self._forms = [(what, form) for what, secret in self.secrets.items() for form in forms(secret)]
        self._seen: set[int] = set()

    def folder(self, folder: Path, *, but: Iterable[Path] = ()) -> None:
        """Look through every file below a folder, and at its name."""
        left_out = set(but)
        for file in sorted(folder.rglob("*")):
            self.bytes(f"the name of {file}", str(file.relative_to(folder)).encode(errors="surrogateescape"))
            if file.is_symlink():
                self.bytes(f"the link {file}", str(file.readlink()).encode(errors="surrogateescape"))
            elif file.is_file() and file not in left_out:
                self.bytes(str(file), file.read_bytes(), file)

    def bytes(self, place: str, data: bytes, file: Path | None = None, depth: int = 0) -> None:
        """Look through some bytes, and through what is packed in them."""
        if hash(data) in self._seen or depth > _DEEPEST:
            return
        self._seen.add(hash(data))
        self.looked += len(data)
        self.found |= {(place, what) for what, form in self._forms if form in data}
        for kind, name, inner in _inside(data, file):
            self.kinds.add(kind)
            self.bytes(f"{place} > {name}", inner, None, depth + 1)


def _inside(data: bytes, file: Path | None) -> Iterator[tuple[str, str, bytes]]:
    """Yield (kind, name, bytes) of everything that is packed in some bytes."""
    for magic, kind, unpack in _STREAMS:
        if data.startswith(magic):
            try:
                yield kind, kind, unpack(data)
            except zlib.error:
                continue
            return
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            for entry in packed.infolist():
                yield "zip", entry.filename, b"\n".join((entry.filename.encode(), entry.comment, entry.extra, packed.comment))
                yield "zip", entry.filename, packed.read(entry)
    elif data.startswith(b"PAR1"):
        yield from _tables("parquet", data, file)
    elif data.startswith(b"SQLite format 3\0"):
        yield from _tables("sqlite", data, file)
    else:
        for match in _BASE64.finditer(data):
            text = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
            with suppress(binascii.Error):
                yield "base64", f"base64 at {match.start()}", base64.b64decode(text + b"=" * (-len(text) % 4))


def _tables(kind: str, data: bytes, file: Path | None) -> Iterator[tuple[str, str, bytes]]:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, "copy")
        copy.write_bytes(data)
        if kind == "parquet":
            with duckdb.connect() as database:
                for what in ("read_parquet", "parquet_kv_metadata"):
                    rows = database.execute(f"SELECT * FROM {what}(?)", [str(copy)])  # noqa: S608 - the two names above
                    names = [column[0] for column in rows.description or ()]
                    yield kind, what, _text([names, *rows.fetchall()])
            return
        if file is not None and (log := file.with_name(f"{file.name}-wal")).exists():
            Path(scratch, "copy-wal").write_bytes(log.read_bytes())
        with sqlite3.connect(copy) as database:
            database.text_factory = bytes
            tables = [name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in tables:
                for row in database.execute(f'SELECT * FROM "{name}"'):  # noqa: S608 - the database's own names
                    for value in row:
                        if isinstance(value, bytes):
                            yield kind, name, value
        database.close()


def _text(value: object) -> bytes:
    """Write nested values as their texts, one a line, so that no quoting hides anything."""
    if isinstance(value, dict):
        return b"\n".join(map(_text, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple):
        return b"\n".join(map(_text, value))
    return bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode(errors="surrogateescape")
