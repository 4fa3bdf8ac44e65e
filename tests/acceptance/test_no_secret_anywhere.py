"""A night on the whole estate, its export and its commands: no secret of the clouds, of the run or of the customer is in any byte of it."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import duckdb
import pytest
import requests
import zstandard
from canary_sweep import Sweep, forms
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from countersign.desk.local import LocalDesk
from countersign.evidence.verify import verify
from countersign.programme import load
from countersign.state import State
from sandbox import estate
from sandbox.estate.places import CANARY, DATA, PROD, TENANT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.estate import Clouds

ROOT = Path(__file__).parents[2]
SECRET = "canary-51ce/+%&<ü>-planted"
ENVIRONMENT = {
    "PGPASSWORD": "canary-pg-40aa-password",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD": "canary-az-71bb-password",
    "COUNTERSIGN_SMTP_PASSWORD": "canary-mail-33cc-password",
    "HTTPS_PROXY": "http://proxy:canary-proxy-90dd@127.0.0.1:9",
}
"""What else a customer's environment holds, and nothing asked for."""
COMMANDS = """
import sys
from countersign import cli
folder, out, today = sys.argv[1:]
for words in (
    ["reconcile", "--prefect"], ["findings"], ["findings", "--json"], ["unknowns", "--json"], ["tickets", "--json"], ["runs", "--json"],
    ["doctor"], ["register", "check"], ["evidence", "list"], ["evidence", "stamp", "--json"],
    ["export", "--from", today, "--to", today, "-o", f"{out}/whole.zip", "--prefect"],
    ["export", "--from", today, "--to", today, "-o", f"{out}/corvid.zip", "--partner", "corvid"],
):
    code = cli.answer([*words, "-p", folder])
    print(f"--- exit code {code}: {' '.join(words)}", flush=True)
"""


# The sweep first proves itself


def _zip(content: bytes, how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as packed:
        packed.writestr("a.txt", content)
    return out.getvalue()


def _xlsx(content: bytes) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True}) as book:
        book.add_worksheet().write_string(0, 0, content.decode())
    return out.getvalue()


def _parquet(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as database:
        # Many different rows first, so that the value is packed and in no statistics.
        database.execute("CREATE TABLE held AS SELECT {'inner': [repeat(i::VARCHAR, 30), 'zzz']} AS a FROM range(1000) AS t(i)")
        database.execute("INSERT INTO held VALUES ({'inner': [?]})", [content.decode()])
        database.execute(f"COPY held TO '{scratch}/t.parquet' (COMPRESSION zstd)")
        return Path(scratch, "t.parquet").read_bytes()


def _sqlite(content: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        with sqlite3.connect(f"{scratch}/t.db") as database:
            database.execute("CREATE TABLE 'odd name' (a TEXT, b BLOB)")
            database.execute("INSERT INTO 'odd name' VALUES ('x', ?)", (zstandard.compress(b"." * 2000 + content),))
        database.close()
        return Path(scratch, "t.db").read_bytes()


def _envelope(content: bytes) -> bytes:
    return json.dumps({"payload": base64.b64encode(b'{"some": "' + content.hex().encode() + b'"}').decode()}).encode()


@pytest.mark.parametrize(
    ("kind", "pack"),
    [
        ("plain", lambda content: b"before" + content + b"after"),
        ("hex", lambda content: content.hex().encode()),
        ("base64", lambda content: base64.b64encode(b"ab" + content + b"yz")),
        ("base64url", lambda content: base64.urlsafe_b64encode(b"a" + content)),
        ("url", lambda content: quote(content.decode(), safe="").encode()),
        ("json", lambda content: json.dumps(content.decode()).encode()),
        ("utf-16", lambda content: content.decode().encode("utf-16")),
        ("html", lambda content: content.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")),
        ("zstd", zstandard.compress),
        ("gzip", gzip.compress),
        ("zip", _zip),
        ("zip in zip", lambda content: _zip(_zip(content), zipfile.ZIP_STORED)),
        ("xlsx", _xlsx),
        ("parquet", _parquet),
        ("parquet in zip", lambda content: _zip(_parquet(content))),
        ("sqlite", _sqlite),
        ("signed envelope", _envelope),
        ("Prefect's artifact in its database", lambda content: _sqlite(json.dumps({"data": content.decode()}).encode())),
    ],
)
def test_a_canary_is_found_in_each_kind_of_container(kind: str, pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(pack(SECRET.encode()))
    sweep = Sweep({"planted": SECRET.encode()})
    sweep.folder(tmp_path)
    assert ["planted"] == sorted({what for _, what in sweep.found}), kind


def test_a_canary_is_found_in_a_name_and_in_what_a_database_has_not_yet_taken_in(tmp_path: Path) -> None:
    (tmp_path / "canary-in-the-name.txt").touch()
    with ExitStack() as stack:
        database = sqlite3.connect(tmp_path / "t.db")
        stack.callback(database.close)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES ('canary-in-the-log')")
        database.commit()
        sweep = Sweep({"name": b"canary-in-the-name", "log": b"canary-in-the-log"})
        sweep.folder(tmp_path)
    assert {"name", "log"} == {what for _, what in sweep.found}


def test_what_holds_none_is_clean() -> None:
    sweep = Sweep({"planted": SECRET.encode()})
    for pack in (_zip, _parquet, _sqlite, _envelope):
        sweep.bytes("a container", pack(b"nothing of the kind, and as long as the other one"))
    assert set() == sweep.found
    assert {"zip", "parquet", "sqlite", "zstd", "base64"} <= sweep.kinds
    assert len(forms(SECRET.encode())) > 12


# The night


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path, str]:
    here = tmp_path_factory.mktemp("canaries")
    folder, home, scratch, out = here / "northwind", here / "prefect", here / "tmp", here / "out"
    for made in (home, scratch, out):
        made.mkdir()
    with estate.running() as clouds:
        estate.seed(clouds, datetime.now(UTC), folder)
        credentials = estate.environment(clouds)
        done = _run(folder, out, {**credentials, **ENVIRONMENT, "PREFECT_HOME": str(home), "TMPDIR": str(scratch)})
        secrets = _secrets(clouds, credentials, folder)
        _check_there(clouds, credentials)
    sweep = Sweep(secrets)
    sweep.folder(here, but={folder / "keys" / "evidence.pem"})
    for name, said in (("standard output", done.stdout), ("standard error", done.stderr)):
        sweep.bytes(name, said)
    _look_at_desk(sweep, folder)
    return sweep, here, (done.stdout + done.stderr).decode()


def _run(folder: Path, out: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run everything in one process, so that one Prefect server serves it; as much is logged as Prefect can be told to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_", "GOOGLE_", "VAULT_", "PREFECT_"))}
    direct = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", "PYTHONPATH": str(ROOT)}
    loud = {"PREFECT_LOGGING_LEVEL": "DEBUG", "PREFECT_LOGGING_SERVER_LEVEL": "INFO", "PREFECT_LOGGING_TO_API_MAX_LOG_SIZE": "1000000"}
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, folder, out, datetime.now(UTC).date().isoformat()],
        env=kept | direct | loud | dict(environment), cwd=out, capture_output=True, check=False,
    )  # fmt: skip


def _secrets(clouds: Clouds, credentials: Mapping[str, str], folder: Path) -> dict[str, bytes]:
    """Everything that must turn up nowhere, by what it is."""
    found = {"the canary of the clouds": CANARY}
    found |= {f"environment: {name}": re.findall(r"canary-[\w-]+", value)[0] for name, value in ENVIRONMENT.items()}
    for name in ("AWS_SECRET_ACCESS_KEY", "AZURE_CLIENT_SECRET", "VAULT_TOKEN"):
        found[f"environment: {name}"] = credentials[name]
    found |= {f"Vault gave out {number}": value for number, value in enumerate(sorted(clouds.vault.given_out))}
    found |= {f"Graph's token {number}": token for number, token in enumerate(clouds.graph._authority._tokens)}
    for account in (PROD, DATA):
        for user in iam_backends[account]["aws"].users.values():
            found |= {f"AWS key of {user.name} {number}": key.secret_access_key for number, key in enumerate(user.access_keys)}
    for account, backends in sts_backends.items():
        for number, role in enumerate(backends["aws"].assumed_roles):
            found |= {
                f"AWS session of {account} {number}": role.secret_access_key,
                f"AWS session token {account} {number}": role.session_token,
            }
    key = load_pem_private_key((folder / "keys" / "evidence.pem").read_bytes(), password=None)
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    return {what: value.encode() for what, value in found.items()} | {"the evidence key": raw}


def _check_there(clouds: Clouds, credentials: Mapping[str, str]) -> None:
    """See the canaries in what the clouds answer: to the administrator of the vault, and to the very reader of the directory."""
    assert CANARY in json.dumps(clouds.vault.client().secrets.kv.v2.read_secret_version("orders/database", raise_on_deleted_version=True))
    graph, ca = clouds.graph.address, str(clouds.graph.ca)
    log_in = {
        "grant_type": "client_credentials",
        "client_id": credentials["AZURE_CLIENT_ID"],
        "client_secret": credentials["AZURE_CLIENT_SECRET"],
    }
    answer = requests.post(f"{graph}/{TENANT}/oauth2/v2.0/token", data={**log_in, "scope": f"{graph}/.default"}, verify=ca, timeout=30)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert CANARY in requests.get(f"{graph}/v1.0/applications", headers=headers, verify=ca, timeout=30).text


def _look_at_desk(sweep: Sweep, folder: Path) -> None:
    """Look at the tickets as their readers see them, beside the database that they lie in."""
    programme = load(folder)
    with State(programme.state) as state:
        desk = LocalDesk(state.engine, lambda: datetime.now(UTC))
        tickets = desk.all()
        assert tickets
        for ticket in tickets:
            sweep.bytes(f"ticket {ticket['id']}", repr((ticket, desk.history(str(ticket["id"])))).encode())


def test_the_night_and_what_followed_went_as_they_should(swept: tuple[Sweep, Path, str]) -> None:
    _, here, said = swept
    ended = [line.removeprefix("--- exit code ").split(": ", 1) for line in said.splitlines() if line.startswith("--- exit code ")]
    print(*ended, sep="\n")  # noqa: T201 - what pytest shows where this fails
    *codes, whole, scoped = [code for code, _ in ended]
    assert ["3", "1", "1", "1", "1", "0", "1", "1", "0", "0"] == codes
    # 3 where the night is partial for those whose bundle it is.
    assert {whole, scoped} <= {"0", "3"}
    folder = here / "northwind"
    assert verify(folder / "evidence", [folder / "keys" / "evidence.pub.pem"]).ok
    assert (folder / "evidence" / "00000001" / "timestamp.tsr").exists()
    assert ["corvid.zip", "whole.zip"] == sorted(path.name for path in (here / "out").glob("*.zip"))


def test_the_secrets_were_there_to_be_found(swept: tuple[Sweep, Path, str]) -> None:
    sweep, _, _ = swept
    kinds = ("the canary", "environment", "Vault gave out", "Graph's token", "AWS key", "AWS session", "the evidence key")
    assert [] == [kind for kind in kinds if not any(what.startswith(kind) for what in sweep.secrets)]
    assert len(sweep.secrets) > 40


def test_everything_was_opened(swept: tuple[Sweep, Path, str]) -> None:
    sweep, here, said = swept
    assert {"zstd", "zip", "parquet", "sqlite", "base64"} <= sweep.kinds
    assert sweep.looked > 1_000_000
    assert list((here / "prefect").rglob("*.db"))
    assert "reading" in said or "read " in said


def test_no_secret_is_in_any_byte(swept: tuple[Sweep, Path, str]) -> None:
    sweep, _, _ = swept
    assert [] == sorted(sweep.found)
