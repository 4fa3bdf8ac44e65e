"""Tickets in a folder: what people write into a file, what breaks one, and what a killed process leaves."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from countersign.desk import DeskError, DeskRefusedError
from countersign.desk.file import FileDesk
from countersign.state import State
from tests.desks.test_desks import FORK, HOSTILE, NAME, NOON, draft, ensure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> FileDesk:
    folder = tmp_path / "tickets"
    folder.mkdir()
    return FileDesk(folder, lambda: NOON)


def file_of(desk: FileDesk, ticket: str) -> Path:
    return desk._folder / f"{ticket.removeprefix('file:')}.json"


def test_a_ticket_lives(desk: FileDesk) -> None:
    assert desk.find(NAME) is None
    made = desk.create(NAME, draft())
    assert desk.find(NAME) == made
    desk.comment(made.id, "Still there.")
    desk.transition(made.id, "closed")
    assert desk.closed([made.id, "file:../x", "file:cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa"]) == {
        made.id: NOON,
        "file:cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa": None,
    }
    desk.transition(made.id, "open")
    before = file_of(desk, made.id).read_bytes()
    desk.transition(made.id, "open")
    desk.update(made.id, draft())
    assert file_of(desk, made.id).read_bytes() == before
    desk.update(made.id, draft("Another", due=None))
    said = json.loads(file_of(desk, made.id).read_bytes())
    assert (said["title"], said["due"], said["assignee"], said["state"]) == ("Another", None, "maria", "open")
    assert [entry.what for entry in desk.history(made.id)] == ["created", "commented", "closed", "opened", "updated"]


def test_people_close_a_ticket_in_its_file(desk: FileDesk) -> None:
    made = desk.create(NAME, draft())
    file = file_of(desk, made.id)
    file.write_text(file.read_text(encoding="ascii").replace('"state": "open"', '"state": "closed"'), encoding="ascii")
    os.utime(file, (NOON.timestamp() + 60, NOON.timestamp() + 60))
    at = datetime(2026, 11, 22, 12, 1, tzinfo=UTC)
    assert desk.closed([made.id]) == {made.id: at}
    assert desk.find(NAME) == replace(made, state="closed", closed_at=at)


def test_a_broken_file_is_no_closed_ticket_and_no_reason_for_a_second_one(desk: FileDesk) -> None:
    made = desk.create(NAME, draft())
    file_of(desk, made.id).write_text("{", encoding="ascii")
    assert desk.closed([made.id]) == {}
    with pytest.raises(DeskError, match="no JSON"):
        desk.find(NAME)


def test_the_open_ticket_of_a_key_comes_first_and_then_the_newest(desk: FileDesk) -> None:
    first, second = (desk.create(NAME, draft()) for _ in range(2))
    assert (first.id, second.id) == (f"file:{NAME}", f"file:{NAME}-2")
    desk.transition(second.id, "closed")
    assert desk.find(NAME) == first
    desk.transition(first.id, "closed")
    found = desk.find(NAME)
    assert found is not None
    assert found.id == second.id


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_text(desk: FileDesk, hostile: str) -> None:
    made = desk.create(NAME, draft(hostile, hostile))
    before = file_of(desk, made.id).read_bytes()
    desk.update(made.id, draft(hostile, hostile))
    assert file_of(desk, made.id).read_bytes() == before
    assert before.isascii()
    assert [path.name for path in desk._folder.iterdir()] == [f"{NAME}.json"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    away = FileDesk(tmp_path / "away", lambda: NOON)
    with pytest.raises(DeskRefusedError, match="cannot be written to"):
        away.create(NAME, draft())
    assert [probe.ok for probe in away.probe()] == [False, False]
    assert [probe.ok for probe in FileDesk(tmp_path, lambda: NOON).probe()] == [True, True]


def test_six_at_once_make_one_ticket(desk: FileDesk, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    with State(url):
        pass
    with ThreadPoolExecutor(6) as pool:
        receipts = [each for done in pool.map(lambda _: ensure(url, desk), range(6)) for each in done]
    assert sorted(receipt.action for receipt in receipts) == ["created", *["unchanged"] * 5]
    assert len(list(desk._folder.iterdir())) == 1


def test_killed_between_create_and_record(desk: FileDesk, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"

    def dying() -> None:
        class Dying(FileDesk):
            def find(self, key: str) -> None:
                super().create(key, draft())
                os.kill(os.getpid(), signal.SIGKILL)

        ensure(url, Dying(desk._folder, lambda: NOON))

    process = FORK.Process(target=dying)
    process.start()
    process.join()
    with State(url) as state, state.lock("next night", NOON):
        state.recover(desk.target)
    (receipt,) = ensure(url, desk, "next night")
    assert (receipt.action, receipt.ticket) == ("updated", f"file:{NAME}")
