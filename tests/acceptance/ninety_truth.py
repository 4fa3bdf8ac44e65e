"""What is true of Harbour Insurance's nights, worked out from the estate alone, and a bundle as its reader opens it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from tests.acceptance import ninety_estate as estate
from tests.acceptance.ninety_nights import key_uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Row = dict[str, str]
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def when(text: str) -> datetime:
    """Read a moment of a table."""
    return datetime.fromisoformat(text).astimezone(UTC)


@dataclass(frozen=True)
class Nights:
    """The nights of some days of the period."""

    numbers: tuple[int, ...]
    """Days on which something was started."""
    first: int
    last: int

    @property
    def judged(self) -> tuple[int, ...]:
        """Days with a judgement."""
        return tuple(number for number in self.numbers if number not in (*estate.MISSING, estate.FULL_DISK, estate.DEAD))

    def states(self) -> dict[date, str]:
        """Say how each night of the period went."""
        told = dict.fromkeys(range(self.first, self.last + 1), "missing") | dict.fromkeys(self.judged, "complete")
        told |= {number: "partial" for number in estate.PARTIAL if number in self.judged}
        told |= {
            number: state
            for number, state in ((estate.FULL_DISK, "failed"), (estate.DEAD, "failed"), (estate.STOPPED, "stopped"))
            if number in self.numbers
        }
        return {estate.day(number): state for number, state in told.items()}

    def gaps(self) -> set[date]:
        """Give the days without a judgement."""
        return {estate.day(number) for number in range(self.first, self.last + 1) if number not in self.judged}

    def runs(self) -> Iterator[tuple[datetime, int, bool]]:
        """Yield the moment, day and half of the day of each judged run, in order."""
        for number in self.judged:
            yield estate.at(number), number, False
            if number == estate.TWICE:
                yield estate.at(number, time(14, 0)), number, True

    def first_night(self, number: int) -> datetime:
        """Give the first judged night on or after a day."""
        return estate.at(next(each for each in self.judged if each >= number))

    def credentials(self) -> dict[str, set[tuple[datetime, int]]]:
        """Give the runs that saw each credential that rotates."""
        found: dict[str, set[tuple[datetime, int]]] = defaultdict(set)
        for at, number, later in self.runs():
            for identity in estate.shown(number):
                for key in estate.live_keys(identity, number, later=later):
                    found[key_uid(identity, key)].add((at, number))
        return found

    def of_partners(self) -> dict[str, set[tuple[datetime, int]]]:
        """Give the runs that saw each identity of a partner."""
        found: dict[str, set[tuple[datetime, int]]] = defaultdict(set)
        for at, number, _ in self.runs():
            for identity in estate.shown(number):
                if identity.partner is not None:
                    found[identity.uid].add((at, number))
        return found


def seen(runs: dict[str, set[tuple[datetime, int]]]) -> dict[str, tuple[datetime, datetime, int]]:
    """Sum up: first and last moment, and days."""
    return {subject: (min(at)[0], max(at)[0], len({number for _, number in at})) for subject, at in runs.items()}


def written(cell: str) -> str:
    """Give a workbook's day or moment as CSV has its first ten characters: a workbook counts days from 1899-12-30."""
    return str(date(1899, 12, 30) + timedelta(int(float(cell)))) if re.fullmatch(r"\d{5}(\.\d+)?", cell) else cell[:10]


def draw(subjects: Iterable[str], control: str, seed: str, size: int) -> list[str]:
    """Draw a sample as the design says: order by sha256(uid || control || seed)."""
    return sorted(subjects, key=lambda uid: hashlib.sha256(f"{uid}{control}{seed}".encode()).hexdigest())[:size]


class Bundle:
    """A bundle's files as a reader sees them."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as opened:
            self.files = {name: opened.read(name) for name in opened.namelist()}

    def rows(self, name: str) -> list[Row]:
        """Read a CSV file, without the apostrophes that keep spreadsheets from running a cell."""
        text = self.files[name].decode("utf-8-sig")
        return [{key: _plain(value) for key, value in row.items()} for row in csv.DictReader(io.StringIO(text, newline=""))]

    def page(self) -> str:
        """Give the page's text, as it is read from top to bottom."""
        reader = _Text()
        reader.feed(self.files["index.html"].decode())
        return re.sub(r"\s+", " ", "".join(reader.parts))

    def sheet(self, name: str) -> list[Row]:
        """Read one sheet of the workbook."""
        with zipfile.ZipFile(io.BytesIO(self.files["workbook.xlsx"])) as opened:
            names = [sheet.attrib["name"] for sheet in ET.fromstring(opened.read("xl/workbook.xml")).iter(f"{_SHEET}sheet")]  # noqa: S314 - our own file
            root = ET.fromstring(opened.read(f"xl/worksheets/sheet{names.index(name) + 1}.xml"))  # noqa: S314 - our own file
        table = []
        for row in root.iter(f"{_SHEET}row"):
            cells = {re.sub(r"\d", "", cell.attrib["r"]): "".join(cell.itertext()) for cell in row.iter(f"{_SHEET}c")}
            table.append(cells)
        head, *rest = table
        return [{title: row.get(column, "") for column, title in head.items()} for row in rest]

    def oscal(self, name: str) -> Any:
        """Read an OSCAL document."""
        return next(iter(json.loads(self.files[f"oscal/{name}.json"]).values()))

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Yield every byte that can be read, with what is packed unpacked and what is encoded decoded."""
        import base64

        import duckdb

        for name, content in self.files.items():
            if name.endswith(".dsse.json"):
                yield f"{name}: payload", base64.b64decode(json.loads(content)["payload"])
            elif name.endswith(".xlsx"):
                with zipfile.ZipFile(io.BytesIO(content)) as opened:
                    yield from ((f"{name}: {part}", opened.read(part)) for part in opened.namelist() if not part.startswith("docProps/app"))
            elif name.endswith(".parquet"):
                import tempfile

                with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
                    file.write(content)
                    file.flush()
                    found = duckdb.read_parquet(file.name).fetchall()
                yield f"{name}: rows", json.dumps(found, default=str, ensure_ascii=False).encode()
            else:
                yield name, content

    def told(self, markers: Iterable[str]) -> dict[str, list[str]]:
        """Say which of these words stand where, in any case."""
        found = defaultdict(list)
        wanted = {marker: marker.lower().encode() for marker in markers}
        for name, content in self.everything():
            low = name.lower().encode() + b"\n" + content.lower()
            for marker, word in wanted.items():
                if word in low:
                    found[marker].append(name)
        return dict(found)


def _plain(value: str) -> str:
    return value[1:] if value[:1] == "'" and value[1:2] in ("=", "+", "-", "@", "'", "\t", "\r") else value


class _Text(HTMLParser):
    """Keeps what is read and forgets what is not shown."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the library gives it
        self._hidden += tag in ("style", "script", "template")
        self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script", "template")
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
