"""A programme whose tickets go to a tracker or a folder: nights, and the doctor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from countersign import cli, scaffold
from countersign.desk.choice import probed_of, tracker_of
from countersign.programme import load
from tests.countersign import test_reconciliation as nights
from tests.desks.github_standin import REPOSITORY, GitHubStandIn
from tests.desks.served import SERVICE
from tests.desks.test_desks import NOON

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = {"kind": "file", "folder": "tickets"}
KINDS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "github", "repository": "n/a", "token_from": "env:T"}, "github:https://api.github.com#n/a"),
    ({"kind": "gitlab", "project": "n/a", "token_from": "env:T"}, "gitlab:https://gitlab.com#n/a"),
    ({"kind": "jira", "deployment": "data_center", "url": "https://j/", "project": "SEC", "token_from": "env:T"}, "jira:https://j#SEC"),
    ({"kind": "servicenow", "url": "https://s", "user": "bot", "token_from": "env:T"}, "servicenow:https://s#incident"),
    (FOLDER, "file:"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scaffold.init(tmp_path / "programme")
    (tmp_path / "programme" / "tickets").mkdir()
    nights.export(tmp_path / "programme", "111111111111", {"old": (200, None), "fine": (10, 1)})
    return tmp_path / "programme"


def point_at(folder: Path, desk: dict[str, Any]) -> None:
    file = folder / "countersign.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text(encoding="utf-8")), "desk": desk}), encoding="utf-8")


@pytest.mark.parametrize(("desk", "target"), KINDS, ids=[desk["kind"] for desk, _ in KINDS])
def test_the_desk_is_the_one_that_is_named(folder: Path, desk: dict[str, Any], target: str) -> None:
    point_at(folder, desk)
    loaded = load(folder)
    probed = probed_of(loaded, lambda: NOON)
    assert probed is not None
    assert probed.target == (f"file:{folder / 'tickets'}" if desk is FOLDER else target)
    assert tracker_of(loaded) is None


def test_nights_and_the_doctor_on_github(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRACKER_TOKEN", f"token-of-{SERVICE}")
    with GitHubStandIn() as server:
        point_at(folder, {"kind": "github", "url": server.url, "repository": REPOSITORY, "token_from": "env:TRACKER_TOKEN"})
        first = nights.night(folder)
        assert (first.tickets["failed"], first.tickets["created"]) == (0, len(server.issues))
        server.people_change("github:1", open=False)
        second = nights.night(folder, 1)
        assert (second.tickets["unchanged"], second.tickets["reopened"], second.tickets["failed"]) == (len(server.issues) - 1, 1, 0)
        assert server.fields("github:1")[3]
        cli.answer(["doctor", "-p", str(folder), "--json"])
        checks = [check for check in json.loads(capsys.readouterr().out)["checks"] if check["scope"] == "desk"]
        assert ([check["ok"] for check in checks], server.strange) == ([True] * 5, [])


def test_nights_in_a_folder(folder: Path) -> None:
    point_at(folder, FOLDER)
    made = nights.night(folder).tickets["created"]
    files = sorted((folder / "tickets").iterdir())
    assert len(files) == made
    files[0].write_text(files[0].read_text(encoding="ascii").replace('"state": "open"', '"state": "closed"'), encoding="ascii")
    second = nights.night(folder, 1)
    assert (second.tickets["reopened"], second.tickets["failed"]) == (1, 0)
