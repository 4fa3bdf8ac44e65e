"""The report as a browser sees it: quiet, alone with itself, and never wider than the window."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from countersign import report
from tests.countersign.test_report import night

WIDTHS = (360, 768, 1280)


class Browser:
    """Chromium's own protocol over a pipe: JSON messages that end in a null byte."""

    def __init__(self, to: int, back: int) -> None:
        self.to, self.back, self.rest, self.count = to, back, b"", 0
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.count += 1
        session = {} if self.session is None else {"sessionId": self.session}
        os.write(self.to, json.dumps({"id": self.count, "method": method, "params": params} | session).encode() + b"\0")
        while (message := self.receive()).get("id") != self.count:
            self.events.append(message)
        assert "error" not in message, (method, message)
        return message["result"]

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            more = os.read(self.back, 1 << 20)
            assert more, "Chromium went away"
            self.rest += more
        line, self.rest = self.rest.split(b"\0", 1)
        return json.loads(line)

    def wait(self, event: str) -> None:
        while not any(seen["method"] == event for seen in self.events):
            self.events.append(self.receive())

    def open(self, url: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "Chromium is missing: apt-get install chromium"
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    command = (
        f"exec {chromium} --headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --no-first-run "
        f"--hide-scrollbars --user-data-dir='{tmp_path_factory.mktemp('profile')}' --remote-debugging-pipe 3<&{theirs_in} 4>&{theirs_out}"
    )
    process = subprocess.Popen(["bash", "-c", command], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        browser = Browser(ours_out, ours_in)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
            browser.call(f"{domain}.enable")
        yield browser
    finally:
        process.terminate()
        process.wait()
        os.close(ours_in)
        os.close(ours_out)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    report.write(folder / "report.html", night(folder))
    return (folder / "report.html").as_uri()


def sized(browser: Browser, width: int, scheme: str = "light") -> None:
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_window_asks_for_nothing_and_raises_nothing(browser: Browser, url: str, width: int, scheme: str) -> None:
    sized(browser, width, scheme)
    browser.open(url)
    for opened in (False, True):
        if opened:
            browser.call("Runtime.evaluate", expression="document.querySelectorAll('details').forEach(each => each.open = true)")
        size = browser.call("Page.getLayoutMetrics")
        assert width == size["cssContentSize"]["width"], f"{opened=}"
    assert [url] == [seen["params"]["request"]["url"] for seen in browser.events if seen["method"] == "Network.requestWillBeSent"
                     and not seen["params"]["request"]["url"].startswith("data:")]  # fmt: skip
    assert [
        seen for seen in browser.events if seen["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
    ] == []


def test_a_screen_reader_finds_the_same_tables_on_a_telephone(browser: Browser, url: str) -> None:
    found = []
    for width in (1280, 360):
        sized(browser, width)
        browser.open(url)
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
        found.append(
            {
                role: roles.count(role)
                for role in ("table", "row", "rowheader", "columnheader", "main", "navigation", "banner", "contentinfo")
            }
        )
    wide, narrow = found
    assert wide["table"] > 10
    assert wide == narrow
