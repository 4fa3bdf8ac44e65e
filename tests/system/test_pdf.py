"""The PDF of a period: a few pages, the same bytes from any process, nothing fetched, and one clear error where a part is missing."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from countersign.report.summary_pdf import NoPdfError, write_summary_pdf
from tests.countersign.test_period_page import ninety, period

if TYPE_CHECKING:
    from countersign.period import Period

ROOT = Path(__file__).parents[2]
AGAIN = """
import sys
from pathlib import Path
from countersign.report.summary_pdf import write_summary_pdf
from tests.countersign.test_period_page import period
write_summary_pdf(Path(sys.argv[2]), period(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Period:
    return ninety(tmp_path_factory.mktemp("pdf"))


def pages(pdf: bytes) -> int:
    streams = [zlib.decompressobj().decompress(found) for found in re.findall(rb"stream\r?\n(x.*?)endstream", pdf, re.DOTALL)]
    return len(re.findall(rb"/Type\s*/Page\b", b"\n".join((pdf, *streams))))


def test_ninety_hostile_nights_fit_on_four_pages_and_are_the_same_bytes_again(whole: Period, tmp_path: Path) -> None:
    write_summary_pdf(tmp_path / "one.pdf", whole)
    one = (tmp_path / "one.pdf").read_bytes()
    assert one.startswith(b"%PDF-")
    assert 2 <= pages(one) <= 4
    env = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Pacific/Auckland", "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1"}
    words = (sys.executable, "-c", AGAIN, str(whole.database.parent), str(tmp_path / "two.pdf"))
    subprocess.run(words, check=True, env=env, cwd=ROOT)
    assert hashlib.sha256(one).hexdigest() == hashlib.sha256((tmp_path / "two.pdf").read_bytes()).hexdigest()
    # No address to go to and nothing to run is in it.
    assert [] == [mark for mark in (b"/URI", b"/JavaScript", b"/Launch", b"/EmbeddedFile") if mark in one]


def test_names_of_ten_kilobytes_do_not_make_it_longer(whole: Period, tmp_path: Path) -> None:
    (tmp_path / "period.duckdb").write_bytes(whole.database.read_bytes())
    with duckdb.connect(str(tmp_path / "period.duckdb")) as db:
        db.execute("UPDATE spells SET identity_name = repeat('<img src=x onerror=alert(1)>', 400)")
        db.execute("UPDATE nights SET why = repeat('url(http://x.example/)', 500) WHERE why IS NOT NULL")
    write_summary_pdf(tmp_path / "long.pdf", period(tmp_path))
    assert 2 <= pages((tmp_path / "long.pdf").read_bytes()) <= 4


@pytest.mark.parametrize(
    ("raises", "said"),
    [
        ("ImportError('x')", "the PDF needs WeasyPrint, which is not installed\n  fix: pip install 'countersign[pdf]'"),
        (
            "OSError('cannot load library libpango')",
            "the PDF needs the library Pango, which is not installed\n  fix: apt-get install libpango",
        ),
    ],
)
def test_a_missing_part_is_one_clear_error(whole: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raises: str, said: str) -> None:
    (tmp_path / "weasyprint.py").write_text(f"raise {raises}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    with pytest.raises(NoPdfError) as caught:
        write_summary_pdf(tmp_path / "no.pdf", whole)
    assert str(caught.value).startswith(said)
    assert not (tmp_path / "no.pdf").exists()
