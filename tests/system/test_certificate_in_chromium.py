"""The certificate's page as a browser sees it: quiet, alone with itself, never wider than the window, and whole on paper."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from countersign.offboarding.certificate import certificate
from countersign.report import certificate as page
from countersign.revocation import Left
from tests.countersign.test_certificate import HOSTILE, again, change, holding, judged, plan_of, record_of
from tests.countersign.test_certificate import programme as programme  # noqa: PLC0414 - pytest finds the fixture by its name
from tests.system.test_report_in_chromium import WIDTHS, Browser, sized
from tests.system.test_report_in_chromium import browser as browser  # noqa: PLC0414 - pytest finds the fixture by its name

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.programme import Programme

A4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}


@pytest.fixture(scope="module")
def urls(programme: Programme, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    long, hostile, plain = holding("a-very-long-name" * 40), holding(HOSTILE, how=HOSTILE), holding("AKIA1")
    plan = plan_of(long, hostile, plain, steps=tuple(change(each, says=f"{HOSTILE} {each.name}") for each in (long, hostile, plain)))
    left = again(plan, steps=(plan.steps[0],), holdings=(long,), left=(Left(hostile.uid, HOSTILE, HOSTILE, "ask"),))
    folder: Path = tmp_path_factory.mktemp("certificate")
    found = {}
    for state, fresh in (("complete", again(plan)), ("incomplete", left)):
        made = certificate(programme, plan, record_of(plan), judged(plan, fresh))
        (folder / f"{state}.html").write_text(page.html(made, f"sha256:{'d' * 64}"), encoding="utf-8")
        found[state] = (folder / f"{state}.html").as_uri()
    return found


@pytest.mark.parametrize("state", ["complete", "incomplete"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_asks_for_nothing_and_raises_nothing(
    browser: Browser, urls: dict[str, str], width: int, scheme: str, state: str
) -> None:
    sized(browser, width, scheme)
    browser.open(urls[state])
    assert width == browser.call("Page.getLayoutMetrics")["cssContentSize"]["width"]
    requests = [seen["params"]["request"]["url"] for seen in browser.events if seen["method"] == "Network.requestWillBeSent"]
    assert [urls[state]] == [asked for asked in requests if not asked.startswith("data:")]
    loud = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    assert [seen for seen in browser.events if seen["method"] in loud] == []


def test_what_is_left_over_is_said_first_and_alike_at_every_width(browser: Browser, urls: dict[str, str]) -> None:
    found = []
    for width in (1280, 360):
        sized(browser, width)
        browser.open(urls["incomplete"])
        nodes = [node for node in browser.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
        headings = [node["name"]["value"] for node in nodes if node["role"]["value"] == "heading"]
        assert "Left over" == headings[1]
        roles = [node["role"]["value"] for node in nodes]
        found.append({role: roles.count(role) for role in ("table", "row", "rowheader", "columnheader", "main", "banner")})
    wide, narrow = found
    assert wide["table"] == 4
    assert wide == narrow


def test_on_paper_nothing_is_cut_off(browser: Browser, urls: dict[str, str]) -> None:
    sized(browser, 1280)
    browser.open(urls["complete"])
    # A4 without its margins at 96 dots to the inch: what is wider than this would be cut or shrunk.
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.call("Emulation.setDeviceMetricsOverride", width=688, height=1000, deviceScaleFactor=1, mobile=False)
    wide = browser.call("Runtime.evaluate", expression="document.documentElement.scrollWidth", returnByValue=True)["result"]["value"]
    assert wide <= 688
    pdf = base64.b64decode(browser.call("Page.printToPDF", **A4)["data"])
    browser.call("Emulation.setEmulatedMedia", media="")
    assert pdf.startswith(b"%PDF-")
