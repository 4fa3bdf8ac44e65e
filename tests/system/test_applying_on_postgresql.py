"""Every test of applying a plan once more, with its journal on a real PostgreSQL server."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from countersign.state import State
from tests.countersign.test_applying import *  # noqa: F403  (the same tests, with the `state_url` below)

del test_killed_at_any_moment_it_goes_on_and_repeats_nothing  # noqa: F821  (it makes its own state databases, on SQLite)
del test_an_approval_is_used_once  # noqa: F821  (it loses the file)
del test_the_tables_are_made_on_postgresql_too  # noqa: F821  (they are)
del test_the_connector_itself_is_carried_through_lost_and_ignored_answers  # noqa: F821  (its home is another)
del test_the_connector_never_writes_with_the_identity_that_reads  # noqa: F821  (as above)


@pytest.fixture
def state_url(postgresql: Path, request: pytest.FixtureRequest) -> str:
    name = f"a{abs(hash(request.node.name))}"
    server = f"postgresql+psycopg://postgres@/{{}}?host={postgresql}"
    admin = sa.create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.format(name)


def test_it_really_is_postgresql(case: Case) -> None:  # noqa: F405  (from the tests above)
    with State(case.programme.state) as state:
        assert state.engine.dialect.name == "postgresql"
