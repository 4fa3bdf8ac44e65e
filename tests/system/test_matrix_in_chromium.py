"""The register's page as a browser sees it: quiet, alone with itself, and never wider than the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from countersign import cli
from tests.countersign.test_matrix import EXCEPTION, HOSTILE, INACTIVE, ROTATION, WORKLOAD, programme
from tests.system.test_report_in_chromium import WIDTHS, Browser, sized
from tests.system.test_report_in_chromium import browser as browser  # noqa: PLC0414 - pytest finds the fixture by its name

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("matrix")
    long = '"' + "a-very-long-purpose" * 40 + '"'
    files = {
        "controls/rotation.yaml": ROTATION, "controls/inactive.yaml": INACTIVE, "workloads/backup.yaml": WORKLOAD % long,
        "exceptions/EX-1.yaml": EXCEPTION,
    }  # fmt: skip
    programme(folder / "northwind", files, name=HOSTILE)
    assert cli.answer(["register", "show", "-p", str(folder / "northwind"), "--html", str(folder / "matrix.html")]) == 0
    return (folder / "matrix.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_matrix_fits_the_window_asks_for_nothing_and_raises_nothing(browser: Browser, url: str, width: int, scheme: str) -> None:
    sized(browser, width, scheme)
    browser.open(url)
    browser.call("Runtime.evaluate", expression="document.querySelectorAll('details').forEach(each => each.open = true)")
    assert width == browser.call("Page.getLayoutMetrics")["cssContentSize"]["width"]
    requests = [seen["params"]["request"]["url"] for seen in browser.events if seen["method"] == "Network.requestWillBeSent"]
    assert [url] == [asked for asked in requests if not asked.startswith("data:")]
    loud = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [seen for seen in browser.events if seen["method"] in loud] == []


def test_a_screen_reader_finds_the_same_tables_and_duties_in_words_at_every_width(browser: Browser, url: str) -> None:
    found = []
    for width in (1280, 360):
        sized(browser, width)
        browser.open(url)
        nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        roles = [node["role"]["value"] for node in nodes]
        said = {node.get("name", {}).get("value", "") for node in nodes}
        assert "business owner; accountable for provision, rotate, review; approves" in said
        assert "B A123 a" not in said
        counted = ("table", "rowheader", "columnheader", "main", "navigation", "heading")
        found.append({role: roles.count(role) for role in counted})
    wide, narrow = found
    assert wide["table"] == 2
    assert wide == narrow
