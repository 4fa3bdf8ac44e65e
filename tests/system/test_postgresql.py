"""Every test of the state database once more, on a real PostgreSQL server."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from countersign.desk.local import LocalDesk
from tests.countersign import test_state as on_sqlite
from tests.countersign.test_state import *  # noqa: F403  (the same tests, with the `url` below)

del test_the_file_is_ours_alone  # noqa: F821  (there is no file)


def as_postgres(*command: str) -> None:
    # The server refuses to run as root.
    prefix = ("runuser", "-u", "postgres", "--") if os.geteuid() == 0 else ()
    done = subprocess.run((*prefix, *command), check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert found, "PostgreSQL is missing: apt-get install postgresql"
    # Not under pytest's folder, which the server's user may not enter; and a socket's path has to be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, log = str(folder / "data"), str(folder / "log")
        as_postgres(str(found[-1] / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        as_postgres(str(found[-1] / "pg_ctl"), "-D", data, "-l", log, "-w", "-o", f"-c listen_addresses= -k {folder}", "start")
        try:
            yield f"postgresql+psycopg://postgres@/{{}}?host={folder}"
        finally:
            as_postgres(str(found[-1] / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    name = f"t{abs(hash(request.node.name))}"
    admin = sa.create_engine(server.format("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.format(name)


def test_it_really_is_postgresql(url: str) -> None:
    with on_sqlite.State(url) as state:
        assert on_sqlite.done(on_sqlite.night(state, 0, [on_sqlite.fails(1)])) == ["created"]
        assert state.engine.dialect.name == "postgresql"
        assert LocalDesk(state.engine, lambda: on_sqlite.at(0)).find(state.tickets("local")[0].key).id == "local:1"
