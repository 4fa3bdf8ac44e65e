"""Tokens without a parent and without an entity, which outlive whoever made them, on a real OpenBao server: whose they are, and their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from connectors import vault
from connectors.vault.records import WHO_MADE_IT
from countersign import scaffold
from countersign.identity import Identity
from countersign.offboarding.closure import close
from countersign.programme import VaultSource, load
from countersign.reading import ReadRequest
from countersign.register.records import Partner, Workload
from countersign.rehearsal import looked
from countersign.revocation import Change, Left
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.programme import Programme

MAKES = "".join(
    f'path "{space}auth/token/create{end}" {{ capabilities = ["create", "update", "sudo"] }}\n'
    for space in ("", "team/")
    for end in ("", "-orphan", "/*")
)
ORPHAN: dict[str, Any] = {"policies": ["makes"], "no_parent": True}


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        server.namespace("team")
        server.enable_auth("approle")
        for namespace in (None, "team"):
            server.policy("makes", MAKES, namespace=namespace)
        role = {"orphan": True, "allowed_policies": ["makes", "default"], "token_type": "service"}
        server.client().write_data("auth/token/roles/orphans", data=role)
        for name in ("acme", "northwind"):
            server.approle(name, policies=["makes"])
        yield server


@pytest.fixture
def identities(bao: SandboxVault, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in bao.identities(vault.policy_hcl(namespaces=("team",)), vault.revoke_hcl(namespaces=("team",))).items():
        monkeypatch.setenv(name, value)


def _source(bao: SandboxVault, **more: Any) -> VaultSource:
    log = {"audit_log": str(bao.audit_log), **more}
    return VaultSource(name="prod", address=bao.address, leases=False, namespaces=("team",), **log)


def _programme(source: VaultSource, folder: Path) -> Programme:
    """A programme of this source, whose register says of the two AppRoles, and of nothing else, whose they are."""
    scaffold.init(folder, customer="northwind")
    held = load(folder)
    partner = {"id": "acme", "name": "Acme", "contract": {"reference": "-", "starts": date(2026, 1, 1)}}
    workloads = {
        name: Workload.model_validate({"workload": name, "partner": whose, "identities": (f"vault:prod:approle/{name}",)})
        for name, whose in (("acme", "acme"), ("northwind", None))
    }
    changed = {"partners": {"acme": Partner.model_validate(partner)}, "workloads": workloads}
    return replace(held, sources=(source,), register=held.register.model_copy(update=changed))


def _made(bao: SandboxVault, token: str, *, namespace: str | None = None, **how: Any) -> tuple[str, str]:
    """Make a token with another; returns its uid and itself."""
    made = bao.client(namespace, token=token).auth.token.create(**{**ORPHAN, **how})["auth"]
    assert not made["entity_id"]
    assert made["orphan"]
    return f"vault:{'prod/team' if namespace else 'prod'}:token/{made['accessor']}", made["client_token"]


def _tokens(source: VaultSource) -> dict[str, Identity]:
    request = ReadRequest(source=source, scope=vault.scopes(source)[0], run="r1", now=lambda: datetime.now(UTC))
    return {r.uid: r for r in vault.read(request) if isinstance(r, Identity) and r.kind == "token"}


@pytest.mark.usefixtures("identities")
def test_orphans_of_a_partner_are_found_to_any_depth_and_end(bao: SandboxVault, tmp_path: Path) -> None:
    login = bao.login("acme")
    first = _made(bao, login.token)
    second = _made(bao, first[1], role_name="orphans")
    between = _made(bao, second[1])
    third = _made(bao, between[1])
    elsewhere = _made(bao, login.token, namespace="team")
    bao.client().auth.token.revoke_accessor(between[0].rpartition("/")[2])
    ours = _made(bao, bao.login("northwind").token)
    kept = dict((ours, _made(bao, ours[1])))

    source, theirs = _source(bao), dict((first, second, third, elsewhere))
    with looked(_programme(source, tmp_path / "northwind")) as (_, database):
        held = close(database, "acme").holdings
    assert {one.uid for one in held if one.kind == "token" and one.what == "identity"} == set(theirs)
    made_by = {one.uid: one.record["created_by"] for one in held if one.what == "identity"}
    assert made_by[first[0]] == "vault:prod:approle/acme"
    assert (made_by[second[0]], made_by[third[0]]) == (first[0], second[0])

    for scope in vault.scopes(source):
        here = [one for one in held if one.scope == scope.name]
        with vault.hand(source, scope, run="r1", now=lambda: datetime.now(UTC)) as hand:
            planned = list(hand.changes(here, "disable", datetime.now(UTC) - timedelta(minutes=1)))
            assert [one for one in planned if isinstance(one, Left)] == []
            changes = sorted((one for one in planned if isinstance(one, Change)), key=lambda one: one.place)
            own = {uid: secret for uid, secret in theirs.items() if uid.startswith(f"vault:{scope.name}:")}
            assert {one.target for one in changes if one.action == "revoke-token"} == set(own)
            for change in changes:
                if change.action == "disable-entity":
                    assert change.residual is not None
                    assert "service tokens" in change.residual.what
                if change.action == "revoke-token" and own:
                    # The entity is off by now, and they outlive it.
                    assert hand.attempt(change.target, own[change.target]).refused is False
                hand.write(change)
                assert hand.look(change) == change.after
            assert {uid: hand.attempt(uid, secret).refused for uid, secret in own.items()} == dict.fromkeys(own, True)
            if scope.name == "prod":
                assert {hand.attempt(uid, secret).refused for uid, secret in kept.items()} == {False}
    assert kept.keys() & {one.uid for one in held} == set()


@pytest.mark.usefixtures("identities")
def test_a_wrapped_token_and_the_one_that_wraps_it_are_whose_call_it_was(bao: SandboxVault) -> None:
    login = bao.login("northwind")
    wrap = login.auth.token.create(**ORPHAN, wrap_ttl="5m")["wrap_info"]
    taken = login.auth.token.create(**ORPHAN, wrap_ttl="5m")["wrap_info"]
    bao.client(token=taken["token"]).sys.unwrap()
    found = _tokens(_source(bao))
    assert [
        found[f"vault:prod:token/{one}"].created_by for one in (wrap["accessor"], wrap["wrapped_accessor"], taken["wrapped_accessor"])
    ] == ["vault:prod:approle/northwind"] * 3


@pytest.mark.usefixtures("identities")
def test_where_the_log_does_not_tell_who_made_a_token_that_is_said(bao: SandboxVault, tmp_path: Path) -> None:
    old = _made(bao, bao.login("northwind").token)[0]
    begins = len(bao.audit_log.read_bytes())
    new = _made(bao, bao.login("northwind").token)[0]
    lately = tmp_path / "audit.log"
    lately.write_bytes(bao.audit_log.read_bytes()[begins:])
    said = {
        name: [(found[uid].created_by, found[uid].unknown.get("created_by")) for uid in (old, new)]
        for name, log in (("none", None), ("lately", lately), ("away", tmp_path / "away.log"))
        for found in [_tokens(_source(bao, audit_log=None if log is None else str(log)))]
    }
    blind, northwind = (None, WHO_MADE_IT), ("vault:prod:approle/northwind", None)
    assert (said["none"], said["lately"]) == ([blind, blind], [blind, northwind])
    # A log that should be there and is not is a reading that failed.
    assert {(by, str(why).startswith("the audit log does not say: away.log: ")) for by, why in said["away"]} == {(None, True)}
