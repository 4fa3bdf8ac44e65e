"""Every test of the state database once more, on a real PostgreSQL server."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from countersign.desk.local import LocalDesk
from tests.countersign import test_state as on_sqlite
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


def test_it_really_is_postgresql(url: str) -> None:
    with on_sqlite.State(url) as state:
        assert on_sqlite.done(on_sqlite.night(state, 0, [on_sqlite.fails(1)])) == ["created"]
        assert state.engine.dialect.name == "postgresql"
        assert LocalDesk(state.engine, lambda: on_sqlite.at(0)).find(state.tickets("local")[0].key).id == "local:1"
