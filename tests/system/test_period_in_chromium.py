"""The period's page as a browser sees it: quiet, alone with itself, never wider than the window, and whole on paper."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import pytest

from countersign.report.period import write_period
from tests.countersign.test_period_page import ninety
from tests.system.test_report_in_chromium import WIDTHS, Browser, sized
from tests.system.test_report_in_chromium import browser as browser  # noqa: PLC0414 - pytest finds the fixture by its name

if TYPE_CHECKING:
    from pathlib import Path

LOUD = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
OPEN_ALL = "document.querySelectorAll('details').forEach(each => each.open = true)"
# What Chromium made of the file; where it differs from what was written, the file was no valid HTML.
SAME_TREE = """(() => {
  const odd = [...document.querySelectorAll('p, span, bdi, h1, h2, h3')].filter(e => e.querySelector('p, div, table, ul, ol, dl, section, details'));
  const lost = [...document.querySelectorAll('table')].filter(e => !e.caption || !e.caption.textContent.trim());
  return odd.length + lost.length;
})()"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("period")
    write_period(folder / "index.html", ninety(folder), root="cm9vdA==", withheld=[{"what": "x" * 300, "why": "y" * 300}])
    return (folder / "index.html").as_uri()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_the_window_asks_for_nothing_and_raises_nothing(browser: Browser, url: str, width: int) -> None:
    sized(browser, width)
    browser.open(url)
    for scheme, expression in (("light", "0"), ("dark", OPEN_ALL)):
        sized(browser, width, scheme)
        browser.call("Runtime.evaluate", expression=expression)
        assert width == browser.call("Page.getLayoutMetrics")["cssContentSize"]["width"], scheme
    requests = [seen["params"]["request"]["url"] for seen in browser.events if seen["method"] == "Network.requestWillBeSent"]
    assert [url] == [asked for asked in requests if not asked.startswith("data:")]
    assert [] == [seen for seen in browser.events if seen["method"] in LOUD]
    assert browser.call("Runtime.evaluate", expression=SAME_TREE)["result"]["value"] == 0


def test_a_screen_reader_finds_the_same_tables_and_pictures_on_a_telephone(browser: Browser, url: str) -> None:
    found = []
    for width in (1280, 360):
        sized(browser, width)
        browser.open(url)
        nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        roles = [node["role"]["value"] for node in nodes]
        pictures = [node for node in nodes if node["role"]["value"] == "image"]
        assert [] == [node for node in pictures if not node.get("name", {}).get("value")]
        counted = ("table", "rowheader", "columnheader", "main", "navigation", "banner", "contentinfo", "heading", "image")
        found.append({role: roles.count(role) for role in counted})
    wide, narrow = found
    assert wide["table"] > 10
    assert wide["image"] > 90
    assert wide == narrow


def test_the_summary_of_ninety_nights_stands_within_two_screens(browser: Browser, url: str) -> None:
    sized(browser, 1280)
    browser.open(url)
    top = "Math.round(document.querySelector('#trend-title').getBoundingClientRect().top)"
    assert browser.call("Runtime.evaluate", expression=top)["result"]["value"] < 1_800


def test_every_link_and_fold_can_be_reached_by_keyboard(browser: Browser, url: str) -> None:
    sized(browser, 1280)
    browser.open(url)
    browser.call("Runtime.evaluate", expression="document.body.focus()")
    for _ in range(2):
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert browser.call("Runtime.evaluate", expression="document.activeElement.getAttribute('href')")["result"]["value"].startswith("#")
    unreachable = "[...document.querySelectorAll('a[href], summary')].filter(e => e.tabIndex < 0).length"
    assert browser.call("Runtime.evaluate", expression=unreachable)["result"]["value"] == 0


def test_it_prints_without_its_folds_in_a_moderate_number_of_pages(browser: Browser, url: str) -> None:
    sized(browser, 1280)
    browser.open(url)
    pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF-")
    assert 8 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 40
