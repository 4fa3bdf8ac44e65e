"""Every test of the state database once more, on a real PostgreSQL server."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from countersign.desk.local import LocalDesk
from countersign.notices import digest
from countersign.notices.escalation import escalate
from countersign.programme import load
from tests.countersign import test_reconciliation as nights
from tests.countersign import test_state as on_sqlite
from tests.countersign.receivers import hook
from tests.countersign.test_state import *  # noqa: F403  (the same tests, with the `url` below)

del test_the_file_is_ours_alone  # noqa: F821  (there is no file)


@pytest.fixture
def url(postgresql: Path, request: pytest.FixtureRequest) -> str:
    name = f"t{abs(hash(request.node.name))}"
    server = f"postgresql+psycopg://postgres@/{{}}?host={postgresql}"
    admin = sa.create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.format(name)


def test_people_are_told_once_on_postgresql_too(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programme"
    nights.scaffold.init(folder)
    config = folder / "countersign.yaml"
    channel = {"name": "mail", "url_from": "env:PEOPLE_URL", "to": "people"}
    said = yaml.safe_load(config.read_text()) | {"state": url, "escalation": {"channels": [channel]}}
    config.write_text(yaml.safe_dump(said))
    nights.export(folder, "111111111111", {"old": (200, 1), "fine": (10, 1)})
    nights.night(folder)
    later = nights.NOW + timedelta(days=30)
    with hook() as hooked:
        monkeypatch.setenv("PEOPLE_URL", hooked.url("{email}"))
        first, again = (escalate(load(folder), lambda: later) for _ in range(2))
        sent = [each.state for each in (*digest.send(load(folder), lambda: later), *digest.send(load(folder), lambda: later))]
    assert {message.channel for message in first.told} == {"mail", "ticket"}
    assert again.told == ()
    assert sent[: len(sent) // 2] == ["told"] * (len(sent) // 2)
    assert sent[len(sent) // 2 :] == ["told before"] * (len(sent) // 2)
    assert any("Overdue" in text and "rotation-age" in text for _, _, text in hooked.took)


def test_it_really_is_postgresql(url: str) -> None:
    with on_sqlite.State(url) as state:
        assert on_sqlite.done(on_sqlite.night(state, 0, [on_sqlite.fails(1)])) == ["created"]
        assert state.engine.dialect.name == "postgresql"
        assert LocalDesk(state.engine, lambda: on_sqlite.at(0)).find(state.tickets("local")[0].key).id == "local:1"
