from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import hvac
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors import vault
from countersign.identity import Credential, Grant, Identity, Record, Trust
from countersign.programme import VaultSource
from countersign.reading import ReadRequest
from countersign.revocation import Change, Holding, Left, RevocationDeniedError, RevocationError, revoker
from sandbox.kubernetes import signed
from sandbox.vault import SandboxVault
from sandbox.vault_front import VaultFront
from sandbox.vault_snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connectors.vault.revoking import VaultHand

ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
SINCE = datetime.now(UTC) - timedelta(minutes=1)


@pytest.fixture(scope="module")
def bao() -> Iterator[SandboxVault]:
    with SandboxVault() as server:
        for kind in ("approle", "userpass", "jwt", "kubernetes", "cert"):
            server.enable_auth(kind)
        server.enable_auth("approle", path="team/roles")
        server.pki()
        leased = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "ec", "generate_lease": True, "max_ttl": "100h"}
        server.client().write_data("pki/roles/leased", data=leased)
        server.policy("issue", 'path "pki/issue/leased" { capabilities = ["update"] }')
        public = ISSUER_KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        config = {"jwt_validation_pubkeys": [public], "bound_issuer": "https://ci.acme.example"}
        server.client().write_data("auth/jwt/config", data=config)
        # Another partner, in everything that Acme is in.
        server.approle("globex", policies=["issue"])
        server.secret_id("globex", metadata={"partner": "globex"})
        server.login("globex").write_data("pki/issue/leased", data={"common_name": "globex.example", "ttl": "10h"})
        server.user("gus")
        server.certificate("globex.example")
        _jwt_role(server, "globex")
        yield server


@pytest.fixture(scope="module")
def front(bao: SandboxVault) -> Iterator[VaultFront]:
    with VaultFront(bao.address) as server:
        yield server


@pytest.fixture(scope="module")
def tokens(bao: SandboxVault) -> dict[str, str]:
    """The two identities, each with the policy of deployments/permissions/ and no other."""
    found = bao.identities(vault.policy_hcl(), vault.revoke_hcl())
    return {**found, "second": bao.reader_token(vault.policy_hcl(), name="second-reader")}


@pytest.fixture
def both(front: VaultFront, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> VaultFront:
    front.heal()
    for name in ("VAULT_TOKEN", "COUNTERSIGN_REVOKE_VAULT_TOKEN"):
        monkeypatch.setenv(name, tokens[name])
    return front


def _jwt_role(bao: SandboxVault, name: str, **more: Any) -> None:
    role = {"role_type": "jwt", "user_claim": "sub", "bound_claims": {"project": [name]}, "token_policies": ["issue"], **more}
    bao.client().write_data(f"auth/jwt/role/{name}", data=role)


def _accessor(bao: SandboxVault, mount: str) -> str:
    return str(bao.client().sys.list_auth_methods()["data"][f"{mount}/"]["accessor"])


def _jwt(project: str, subject: str) -> str:
    now = int(time.time())
    return signed({"iss": "https://ci.acme.example", "sub": subject, "iat": now, "exp": now + 300, "project": project}, ISSUER_KEY)


def _source(front: VaultFront, **more: Any) -> VaultSource:
    return VaultSource.model_validate({"name": "prod", "provider": "vault", "address": front.address, **more})


def _hand(front: VaultFront, *, scope: int = 0, **more: Any) -> VaultHand:
    source = _source(front, **more)
    return vault.hand(source, vault.scopes(source)[scope], run="r1", now=lambda: datetime.now(UTC), sleep=lambda _seconds: None)


def _read(front: VaultFront, *, scope: int = 0, **more: Any) -> list[Record]:
    source = _source(front, **more).model_copy(update={"address": front.upstream})
    request = ReadRequest(source=source, scope=vault.scopes(source)[scope], run="r1", now=lambda: datetime.now(UTC))
    return list(vault.read(request, sleep=lambda _seconds: None))


def _holdings(
    records: Sequence[Record], *identities: str, whole: bool = True, others: tuple[str, ...] = (), also: str = ""
) -> list[Holding]:
    """Tell of identities, and of credentials with `also` in their uid, what a closure would."""
    found = []
    for one in records:
        if not isinstance(one, Identity | Credential | Grant | Trust):
            continue
        identity = one.uid if isinstance(one, Identity) else one.identity_uid
        if identity not in identities and not (also and isinstance(one, Credential) and also in one.uid):
            continue
        what: Any = type(one).__name__.lower()
        kind = one.role if isinstance(one, Grant) else one.party_kind if isinstance(one, Trust) else one.kind
        uid = one.uid if isinstance(one, Identity | Credential) else f"{identity}#{what}/{kind}"
        record = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(one).items()}
        name = getattr(one, "name", None) or identity
        found.append(
            Holding(
                uid=uid, what=what, kind=kind, provider="vault", source="prod", scope=one.scope, identity_uid=identity, name=name,
                whole=whole, how="registered", others=others, record=record,
            )
        )  # fmt: skip
    assert found
    return found


def _held(*uids: str) -> list[Holding]:
    """Tell of identities alone, without reading all else."""
    kinds = {uid: uid.split(":", 2)[2].partition("/")[0] for uid in uids}
    return [
        Holding(
            uid=uid, what="identity", kind=kind, provider="vault", source="prod", scope="prod", identity_uid=uid, name=uid, whole=True,
            how="registered",
        )
        for uid, kind in kinds.items()
    ]  # fmt: skip


def _changes(hand: VaultHand, holdings: Sequence[Holding], phase: Any = "disable") -> list[Change]:
    planned = list(hand.changes(holdings, phase, SINCE))
    assert planned == list(hand.changes(holdings, phase, SINCE))
    assert [one for one in planned if isinstance(one, Left)] == []
    changes = [one for one in planned if isinstance(one, Change)]
    json.dumps([asdict(one) for one in changes])
    return sorted(changes, key=lambda one: one.place)


def _make(hand: VaultHand, changes: Sequence[Change]) -> None:
    for change in changes:
        before = hand.look(change)
        if before == change.after:
            continue  # by an earlier step
        assert before == change.before
        hand.write(change)
        assert hand.look(change) == change.after


def _state(bao: SandboxVault) -> dict[str, Any]:
    return snapshot(bao.address, bao.root_token)


def _differences(before: Any, after: Any, at: str = "") -> set[str]:
    """Name every place where two snapshots differ; a thing that is in only one of them is named once."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted({*before, *after})
        return {place for name in names for place in _differences(before.get(name), after.get(name), f"{at}{name} ")}
    return set() if before == after else {at.strip()}


def _identity(records: Sequence[Record], uid: str) -> Identity:
    (one,) = [r for r in records if isinstance(r, Identity) and r.uid == uid]
    return one


# Each kind, there and back


def test_an_approle_is_disabled_by_its_entity_and_comes_back_with_its_tokens(bao: SandboxVault, both: VaultFront) -> None:
    role_id = bao.approle("acme", policies=["issue"])
    bao.secret_id("acme")
    client, secret_id = bao.login("acme"), _secret_id(bao, "acme")
    accessor = client.lookup_token()["data"]["accessor"]
    uid, token = "vault:prod:approle/acme", f"vault:prod:token/{accessor}"
    holdings = _holdings(_read(both), uid)
    assert {one.kind for one in holdings} == {"approle", "secret-id", "token", "issue", "default"}
    before = _state(bao)
    with _hand(both) as hand:
        (change,) = _changes(hand, holdings)
        assert (change.action, change.target, change.reversible, change.writes) == (
            "disable-entity",
            uid,
            True,
            (f"POST identity/entity/id/{change.parameters['entity']}",),
        )
        assert set(change.takes) == {one.uid for one in holdings}
        assert hand.attempt(token, client.token).refused is False
        _make(hand, [change])
        assert hand.attempt(token, client.token).refused is True
        for given in (secret_id, json.dumps({"role_id": role_id, "secret_id": secret_id})):
            assert hand.attempt(uid, given).refused is True
        entity = change.parameters["entity"]
        assert _differences(before, _state(bao)) == {f"/ entities {entity} disabled"}
        assert _identity(_read(both), uid).enabled is False
        assert list(hand.changes(holdings, "disable", SINCE)) == []
        _make(hand, [change.undone()])
        assert _state(bao) == before
        assert client.lookup_token()["data"]["accessor"] == accessor
        _make(hand, [change])

        deletes = _changes(hand, holdings, "delete")
        assert [one.action for one in deletes] == ["delete-role", "delete-entity", "revoke-token"]
        assert {uid for one in deletes for uid in one.takes} == {one.uid for one in holdings}
        _make(hand, deletes)
        gone = {f"/ entities {entity}", "/ methods approle/ roles acme", f"/ tokens {accessor}"}
        assert _differences(before, _state(bao)) == gone
        assert hand.attempt(uid, json.dumps({"role_id": role_id, "secret_id": secret_id})).refused is True
        assert list(hand.changes(holdings, "delete", SINCE)) == []
        assert [hand.look(one) for one in deletes] == [{"exists": False}] * 3


def _secret_id(bao: SandboxVault, role: str, mount: str = "approle") -> str:
    return str(bao.client().write_data(f"auth/{mount}/role/{role}/secret-id", data={})["data"]["secret_id"])


@pytest.mark.parametrize(
    ("mount", "more"),
    [
        ("approle", {}),
        ("approle", {"secret_id_bound_cidrs": ["127.0.0.0/8", "10.0.0.0/8"]}),
        ("approle", {"bind_secret_id": False, "secret_id_bound_cidrs": ["127.0.0.0/8"]}),
        ("team/roles", {}),
    ],
)
def test_an_approle_that_never_logged_in_is_closed_and_opened_again(
    bao: SandboxVault, both: VaultFront, mount: str, more: dict[str, Any]
) -> None:
    bao.approle("fresh", mount=mount)
    bao.client().write_data(f"auth/{mount}/role/fresh", data=more)
    secret_id = "" if more.get("bind_secret_id") is False else _secret_id(bao, "fresh", mount)
    uid = f"vault:prod:approle/{'' if mount == 'approle' else 'team/roles/'}fresh"
    if mount != "approle":
        # `+` in a policy is one segment.
        for name, text in (("countersign-reader", vault.policy_hcl()), ("countersign-revoker", vault.revoke_hcl())):
            bao.policy(name, text + text.replace("auth/+/", "auth/team/roles/"))
    holdings, before = _held(uid), _state(bao)
    with _hand(both) as hand:
        (change,) = _changes(hand, holdings)
        _make(hand, [change])
        assert change.action == "close-role"
        assert _differences(before, _state(bao)) == {f"/ methods {mount}/ roles fresh secret_id_bound_cidrs"}
        assert _identity(_read(both), uid).enabled is False
        if secret_id:
            assert hand.attempt(uid, secret_id).refused is True
        else:
            role_id = bao.client().read(f"auth/{mount}/role/fresh/role-id")["data"]["role_id"]
            with pytest.raises(hvac.exceptions.InvalidRequest, match="CIDR"):
                bao.client(token="").auth.approle.login(role_id, mount_point=mount)
        assert list(hand.changes(holdings, "disable", SINCE)) == []
        _make(hand, [change.undone()])
        assert _state(bao) == before
        if secret_id:
            assert hand.attempt(uid, secret_id).refused is False
            assert _identity(_read(both), uid).enabled is True
        _make(hand, _changes(hand, _held(uid), "delete"))
    assert "fresh" not in _state(bao)["/"]["methods"][f"{mount}/"]["roles"]


def test_a_user_is_closed_before_the_first_login_and_disabled_after_it(bao: SandboxVault, both: VaultFront) -> None:
    root = bao.client()
    root.write_data("auth/userpass/users/ann", data={"password": "ann-first-9", "token_policies": ["issue"]})
    uid = "vault:prod:user/userpass/ann"
    holdings, before = _holdings(_read(both), uid), _state(bao)
    with _hand(both) as hand:
        (change,) = _changes(hand, holdings)
        _make(hand, [change])
        assert _differences(before, _state(bao)) == {"/ methods userpass/ roles ann token_bound_cidrs"}
        assert _identity(_read(both), uid).enabled is False
        assert hand.attempt(uid, "ann-first-9").refused is True
        _make(hand, [change.undone()])
        assert _state(bao) == before
        assert hand.attempt(uid, "ann-first-9").refused is False

        # That was her first login: from now on she is told as her entity.
        records = _read(both)
        (entity,) = [r for r in records if isinstance(r, Identity) and r.kind == "entity" and r.name == "ann"]
        holdings, before = _holdings(records, entity.uid), _state(bao)
        _make(hand, _changes(hand, holdings))
        assert _differences(before, _state(bao)) == {f"/ entities {entity.native_id} disabled"}
        assert hand.attempt(entity.uid, "ann-first-9").refused is True
        deletes = _changes(hand, holdings, "delete")
        assert [(one.action, one.target) for one in deletes] == [("delete-role", entity.uid), ("delete-entity", entity.uid)]
        _make(hand, deletes)
        assert _differences(before, _state(bao)) == {f"/ entities {entity.native_id}", "/ methods userpass/ roles ann"}
        assert list(hand.changes(holdings, "delete", SINCE)) == []


def test_a_role_for_outside_logins_is_closed_and_its_tokens_end(bao: SandboxVault, both: VaultFront) -> None:
    _jwt_role(bao, "deploy", token_bound_cidrs=["127.0.0.1", "10.0.0.0/8"])
    outside = bao.client(token="")
    theirs = outside.auth.jwt.jwt_login("deploy", _jwt("deploy", "nightly"))["auth"]["accessor"]
    others = outside.auth.jwt.jwt_login("globex", _jwt("globex", "other"))["auth"]["accessor"]
    uid = "vault:prod:auth-role/jwt/deploy"
    holdings, before = _holdings(_read(both), uid), _state(bao)
    assert {one.what for one in holdings} == {"identity", "grant", "trust"}
    with _hand(both) as hand:
        changes = _changes(hand, holdings)
        # The tokens come and go, and the plan stays what it is.
        theirs = [theirs, outside.auth.jwt.jwt_login("deploy", _jwt("deploy", "weekly"))["auth"]["accessor"]]
        before = _state(bao)
        assert changes == _changes(hand, holdings)
        with pytest.raises(RevocationError, match="still gives out tokens"):
            hand.write(changes[1])
        assert [(one.action, one.reversible) for one in changes] == [("close-role", True), ("end-tokens", False)]
        _make(hand, changes)
        where = "/ methods jwt/ roles deploy token_bound_cidrs"
        assert _differences(before, _state(bao)) == {where, *(f"/ tokens {one}" for one in theirs)}
        assert others in _state(bao)["/"]["tokens"]
        with pytest.raises(hvac.exceptions.Forbidden):
            outside.auth.jwt.jwt_login("deploy", _jwt("deploy", "nightly"))
        records = _read(both)
        assert _identity(records, uid).enabled is False
        assert [r for r in records if isinstance(r, Trust) and r.identity_uid == uid] == []
        assert "trusts" not in _identity(records, uid).unknown
        assert list(hand.changes(holdings, "disable", SINCE)) == []
        _make(hand, [changes[0].undone()])
        assert _differences(before, _state(bao)) == {*(f"/ tokens {one}" for one in theirs)}
        _make(hand, [changes[0]])
        _make(hand, _changes(hand, holdings, "delete"))
        assert _differences(before, _state(bao)) == {"/ methods jwt/ roles deploy", *(f"/ tokens {one}" for one in theirs)}


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("jwt", "auth/jwt/role/one", {"role_type": "oidc", "user_claim": "sub", "allowed_redirect_uris": ["https://v.example/cb"]}),
        (
            "jwt",
            "auth/jwt/role/one",
            {
                "role_type": "jwt",
                "user_claim": "sub",
                "bound_claims": {"project": ["*"], "ref": ["main"]},
                "bound_claims_type": "glob",
                "bound_audiences": ["a"],
                "bound_subject": "s",
                "claim_mappings": {"project": "p"},
                "groups_claim": "groups",
                "clock_skew_leeway": 30,
                "expiration_leeway": 40,
                "not_before_leeway": 50,
                "user_claim_json_pointer": False,
                "verbose_oidc_logging": False,
                "token_ttl": "1h",
                "token_num_uses": 3,
                "token_type": "service",
                "token_no_default_policy": True,
            },
        ),
        ("kubernetes", "auth/kubernetes/role/one", {"bound_service_account_names": ["b", "a"], "bound_service_account_namespaces": ["ci"]}),
        ("cert", "auth/cert/certs/one", {"allowed_common_names": ["web-*", "a"], "display_name": "hello"}),
    ],
)
def test_closing_a_role_writes_one_field_and_opening_restores_it(
    bao: SandboxVault, both: VaultFront, kind: str, path: str, body: dict[str, Any]
) -> None:
    if kind == "cert":
        body = {**body, "certificate": bao.client().read("pki/cert/ca")["data"]["certificate"]}
    bao.client().write_data(path, data={**body, "token_policies": ["z", "a"], "token_bound_cidrs": ["10.1.0.0/16"]})
    uid = f"vault:prod:auth-role/{kind}/one"
    holdings, before = _held(uid), _state(bao)
    with _hand(both) as hand:
        change, tokens = _changes(hand, holdings)
        _make(hand, [change])
        assert hand.look(tokens) == tokens.after  # it gave out none
        assert _differences(before, _state(bao)) == {f"/ methods {kind}/ roles one token_bound_cidrs"}
        assert _identity(_read(both), uid).enabled is False
        _make(hand, [change.undone()])
        assert _state(bao) == before
        _make(hand, _changes(hand, holdings, "delete"))
        assert _differences(before, _state(bao)) == {f"/ methods {kind}/ roles one"}


def test_a_token_of_no_entity_and_its_lease_end_at_once(bao: SandboxVault, both: VaultFront) -> None:
    made = bao.client().auth.token.create(policies=["issue"], no_default_policy=True, no_parent=True, display_name="acme bot")["auth"]
    accessor, owner = made["accessor"], bao.client(token=made["client_token"])
    owner.write_data("pki/issue/leased", data={"common_name": "acme.example", "ttl": "10h"})
    lease = next(one for one in sorted(_state(bao)["/"]["leases"]) if one not in _leases(bao, "globex"))
    uid, held = f"vault:prod:token/{accessor}", f"vault:prod:lease/{lease}"
    holdings, before = _holdings(_read(both), uid, also=lease), _state(bao)
    with _hand(both) as hand:
        changes = _changes(hand, holdings)
        assert [(one.action, one.reversible) for one in changes] == [("revoke-lease", False), ("revoke-token", False)]
        assert {uid for one in changes for uid in one.takes} == {uid, held, f"{uid}#grant/issue"}
        # It may not look itself up, which is not the same as refused.
        assert hand.attempt(uid, made["client_token"]).refused is False
        assert hand.attempt(uid, bao.root_token).refused is None
        _make(hand, changes)
        assert hand.attempt(uid, made["client_token"]).refused is True
        gone = {f"/ tokens {accessor}", f"/ leases {lease}"}
        left = {place for place in _differences(before, _state(bao)) if not place.startswith("/ engines pki/ certificates ")}
        assert left == gone  # and the leased certificate is revoked
        assert list(hand.changes(holdings, "disable", SINCE)) == list(hand.changes(holdings, "delete", SINCE)) == []


def _leases(bao: SandboxVault, partner: str) -> set[str]:
    """The leases that were there before a test made one: the first by time of issue."""
    assert partner == "globex"
    leases = _state(bao)["/"]["leases"]
    return {min(leases, key=lambda one: leases[one]["issue_time"])}


def test_a_secret_id_of_somebody_elses_role_is_destroyed_alone(bao: SandboxVault, both: VaultFront) -> None:
    bao.approle("shared")
    kept, theirs = bao.secret_id("shared"), bao.client().write_data("auth/approle/role/shared/secret-id", data={})["data"]
    accessor = theirs["secret_id_accessor"]
    uid = f"vault:prod:secret-id/{accessor}"
    holdings, before = _holdings(_read(both), also=accessor), _state(bao)
    with _hand(both) as hand:
        assert hand.attempt(uid, theirs["secret_id"]).refused is False
        before = _state(bao)
        (change,) = _changes(hand, holdings)
        _make(hand, [change])
        assert _differences(before, _state(bao)) == {f"/ methods approle/ roles shared secret_ids {accessor}"}
        assert kept in _state(bao)["/"]["methods"]["approle/"]["roles"]["shared"]["secret_ids"]
        assert hand.attempt(uid, theirs["secret_id"]).refused is None
        role_id = bao.client().read("auth/approle/role/shared/role-id")["data"]["role_id"]
        assert hand.attempt(uid, json.dumps({"role_id": role_id, "secret_id": theirs["secret_id"]})).refused is True


def test_a_certificate_is_revoked_and_one_of_the_same_name_is_not(bao: SandboxVault, both: VaultFront) -> None:
    serial, other = bao.certificate("acme.example"), bao.certificate("acme.example")
    holdings, before = _holdings(_read(both), also=serial), _state(bao)
    with _hand(both) as hand:
        (change,) = _changes(hand, holdings)
        assert change.residual is not None
        assert change.residual.seconds is not None
        _make(hand, [change])
        places = _differences(before, _state(bao))
        assert {place.rsplit(" ", 1)[0] for place in places} == {f"/ engines pki/ certificates {serial}"}
        enabled = {r.uid.split(":", 3)[-1]: r.enabled for r in _read(both) if isinstance(r, Credential) and r.kind == "certificate"}
        assert (enabled[serial], enabled[other]) == (False, True)
        assert list(hand.changes(holdings, "disable", SINCE)) == []


# What is somebody else's


def test_an_entity_that_is_shared_keeps_its_other_login(bao: SandboxVault, both: VaultFront) -> None:
    mount = _accessor(bao, "approle")
    ours, theirs = bao.approle("ours"), bao.approle("acme-in")
    entity = bao.entity("platform", policies=["issue"], alias=(mount, ours))
    alias = {"canonical_id": entity, "mount_accessor": mount, "name": theirs}
    # A mount gives an entity one alias, so theirs is of another.
    alias["mount_accessor"] = bao.enable_auth("approle", path="second")
    bao.approle("acme-in", mount="second")
    alias["name"] = bao.client().read("auth/second/role/acme-in/role-id")["data"]["role_id"]
    bao.client().write_data("identity/entity-alias", data=alias)
    kept, ended = bao.login("ours"), bao.login("acme-in", mount="second")
    accessor = ended.lookup_token()["data"]["accessor"]
    role, shared = "vault:prod:approle/second/acme-in", f"vault:prod:entity/{entity}"
    records = _read(both)
    holdings = [*_holdings(records, role), *(one for one in _holdings(records, shared, whole=False) if one.what == "identity")]
    before = _state(bao)
    with _hand(both) as hand:
        changes = _changes(hand, holdings)
        assert [one.action for one in changes] == ["close-role", "end-tokens"]
        _make(hand, changes)
        assert _differences(before, _state(bao)) == {"/ methods second/ roles acme-in secret_id_bound_cidrs", f"/ tokens {accessor}"}
        deletes = _changes(hand, holdings, "delete")
        assert [one.action for one in deletes] == ["delete-role", "delete-alias"]
        _make(hand, deletes)
    assert kept.lookup_token()["data"]["entity_id"] == entity
    places = {place.rsplit(" ", 1)[0] if " aliases" in place else place for place in _differences(before, _state(bao))}
    assert places == {"/ methods second/ roles acme-in", f"/ tokens {accessor}", f"/ entities {entity}"}
    assert [one["name"] for one in _state(bao)["/"]["entities"][entity]["aliases"]] == [ours]
    assert bao.login("ours").lookup_token()["data"]["policies"] == ["default"]


def test_a_role_that_lets_in_several_is_left_with_advice(bao: SandboxVault, both: VaultFront) -> None:
    root = bao.client()
    bao.pki(mount="other", common_name="Other Root")
    both_roots = "".join(root.read(f"{mount}/cert/ca")["data"]["certificate"] + "\n" for mount in ("pki", "other"))
    root.write_data("auth/cert/certs/several", data={"certificate": both_roots})
    uid = "vault:prod:auth-role/cert/several"
    before = _state(bao)
    with _hand(both) as hand:
        held = _holdings(_read(both), uid, whole=False, others=("x509-issuer CN=Other Root",))
        planned = list(hand.changes(held, "disable", SINCE))
        assert {one.uid for one in planned if isinstance(one, Left)} == {one.uid for one in held}
        assert len([one for one in planned if isinstance(one, Left)]) == len(planned)
        # A role of ours that only the partner's issuer may use is closed, and kept in the end.
        _jwt_role(bao, "build")
        role = "vault:prod:auth-role/jwt/build"
        held = [one for one in _holdings(_read(both), role, whole=False) if one.what != "grant"]
        before = _state(bao)
        _make(hand, _changes(hand, held))
        assert list(hand.changes(held, "delete", SINCE)) == []
    assert _differences(before, _state(bao)) == {"/ methods jwt/ roles build token_bound_cidrs"}


def test_what_cannot_be_taken_is_left_with_advice(bao: SandboxVault, both: VaultFront) -> None:
    bao.kv("acme/database", {"password": "canary-77ab"})
    entity = bao.entity("by-oidc\x1b[31m<b>")
    alias = {"canonical_id": entity, "mount_accessor": _accessor(bao, "jwt"), "name": "pat"}
    bao.client().write_data("identity/entity-alias", data=alias)
    records = _read(both)
    held = [*_holdings(records, also="acme/database"), *_holdings(records, f"vault:prod:entity/{entity}")]
    with _hand(both) as hand:
        planned = list(hand.changes(held, "disable", SINCE))
        assert [type(one) for one in planned] == [Change, Left]
        (change,) = [one for one in planned if isinstance(one, Change)]
        assert "\x1b" not in change.says
        _make(hand, [change])
        left = {one.uid: one.why for one in hand.changes(held, "delete", SINCE) if isinstance(one, Left)}
        assert set(left) == {one.uid for one in held}
        assert "come back as a new one" in left[f"vault:prod:entity/{entity}"]


def test_our_own_identities_are_never_planned_nor_ended(both: VaultFront) -> None:
    records = _read(both)
    (reader,) = [r.uid for r in records if isinstance(r, Identity) and r.tags.get("countersign") == "self"]
    with _hand(both) as hand:
        planned = list(hand.changes(_holdings(records, reader), "disable", SINCE))
        assert {type(one) for one in planned} == {Left}
        # Planning does not know the one that revokes; writing does.
        writer = next(
            r.uid for r in records if isinstance(r, Identity) and r.kind == "token" and f"(accessor {r.native_id})" in hand.who()[1]
        )
        (change,) = _changes(hand, _holdings(records, writer))
        with pytest.raises(RevocationDeniedError, match="would end the identity that revokes here"):
            hand.write(change)
        assert hand.look(change) == change.before


# Never the wrong one


def test_a_role_made_anew_under_the_same_name_is_another(bao: SandboxVault, both: VaultFront) -> None:
    bao.approle("again")
    bao.user("again")
    _jwt_role(bao, "again")
    uids = ("vault:prod:approle/again", "vault:prod:user/userpass/again", "vault:prod:auth-role/jwt/again")
    with _hand(both) as hand:
        changes = [one for one in _changes(hand, _held(*uids)) if one.reversible]
        assert [one.action for one in changes] == ["close-role"] * 3
        for path in ("approle/role", "userpass/users", "jwt/role"):
            bao.client().delete(f"auth/{path}/again")
        assert [hand.look(one) for one in changes] == [{"exists": False}] * 3
        bao.approle("again")
        bao.client().write_data("auth/userpass/users/again", data={"password": "another-9", "token_policies": ["issue"]})
        _jwt_role(bao, "again", bound_subject="somebody else")
        before = _state(bao)
        for change in changes:
            assert hand.look(change) != change.before
            with pytest.raises(RevocationError, match="nothing was written"):
                hand.write(change)
    assert _state(bao) == before


def test_a_mount_made_anew_under_the_same_path_is_another(bao: SandboxVault, both: VaultFront) -> None:
    bao.enable_auth("userpass", path="people")
    body = {"password": "again-9"}
    bao.client().write_data("auth/people/users/sam", data=body)
    with _hand(both) as hand:
        (change,) = _changes(hand, _held("vault:prod:user/people/sam"))
        bao.client().sys.disable_auth_method("people")
        assert hand.look(change) == {"exists": False}
        bao.enable_auth("userpass", path="people")
        bao.client().write_data("auth/people/users/sam", data=body)
        with pytest.raises(RevocationError, match="nothing was written"):
            hand.write(change)


def test_namespaces_are_kept_apart(bao: SandboxVault, both: VaultFront, monkeypatch: pytest.MonkeyPatch) -> None:
    bao.namespace("team")
    bao.enable_auth("approle", namespace="team")
    for namespace in (None, "team"):
        bao.approle("twin", namespace=namespace)
    made = bao.client("team").auth.token.create(policies=["default"], no_parent=True)["auth"]
    monkeypatch.setenv("VAULT_TOKEN", bao.reader_token(vault.policy_hcl(namespaces=("team",)), name="wide-reader"))
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", bao.reader_token(vault.revoke_hcl(namespaces=("team",)), name="wide-revoker"))
    names: dict[str, Any] = {"scope": 1, "namespaces": ("team",)}
    token = f"vault:prod/team:token/{made['accessor']}"
    held = _holdings(_read(both, **names), "vault:prod/team:approle/twin", token)
    before = _state(bao)
    with _hand(both, **names) as hand:
        changes = _changes(hand, held)
        assert hand.attempt(token, made["client_token"]).refused is False
        _make(hand, changes)
        assert hand.attempt(token, made["client_token"]).refused is True
        assert list(hand.changes(held, "disable", SINCE)) == []
    where = "team/ methods approle/ roles twin secret_id_bound_cidrs"
    assert _differences(before, _state(bao)) == {where, f"team/ tokens {made['accessor']}"}
    with _hand(both) as root, pytest.raises(RevocationError, match="of another scope"):
        list(root.changes(held, "disable", SINCE))


# Who writes, and what the server makes of it


def test_reading_and_revoking_by_one_identity_is_refused(bao: SandboxVault, both: VaultFront, monkeypatch: pytest.MonkeyPatch) -> None:
    bao.approle("alike")
    with _hand(both) as hand:
        assert hand.who()[0].startswith("token-countersign-reader (accessor ")
        assert hand.who()[1].startswith("token-countersign-revoker (accessor ")
        (change,) = _changes(hand, _held("vault:prod:approle/alike"))
    monkeypatch.setenv("VAULT_TOKEN", bao.root_token)
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", bao.root_token)
    with _hand(both) as hand, pytest.raises(RevocationDeniedError, match="the same identity"):
        hand.write(change)
    # Two tokens of one entity are one identity.
    policies = ["countersign-reader", "countersign-revoker"]
    bao.approle("one-for-all", policies=policies)
    for name in ("VAULT_TOKEN", "COUNTERSIGN_REVOKE_VAULT_TOKEN"):
        monkeypatch.setenv(name, bao.login("one-for-all").token)
    with _hand(both) as hand, pytest.raises(RevocationDeniedError, match="the same identity"):
        hand.write(change)
    monkeypatch.delenv("COUNTERSIGN_REVOKE_VAULT_TOKEN")
    with _hand(both) as hand, pytest.raises(RevocationDeniedError, match="COUNTERSIGN_REVOKE_VAULT_TOKEN"):
        hand.who()
    assert bao.client().read("auth/approle/role/alike")["data"]["secret_id_bound_cidrs"] is None


def test_the_revoking_identity_logs_in_by_its_own_approle(bao: SandboxVault, both: VaultFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_ROLE_ID", bao.approle("revoker", policies=["countersign-revoker"]))
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_SECRET_ID", _secret_id(bao, "revoker"))
    monkeypatch.delenv("COUNTERSIGN_REVOKE_VAULT_TOKEN")
    bao.user("by-approle")
    with _hand(both, revoke_auth={"method": "approle"}) as hand:
        _make(hand, _changes(hand, _held("vault:prod:user/userpass/by-approle")))
        assert hand.who()[1].startswith("approle (entity ")
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_SECRET_ID", "wrong")
    with _hand(both, revoke_auth={"method": "approle"}) as hand, pytest.raises(RevocationDeniedError, match="invalid role or secret ID"):
        hand.who()


def test_the_readers_policy_makes_none_of_the_changes(
    bao: SandboxVault, both: VaultFront, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    holdings, before = _one_of_each(bao, both)
    monkeypatch.setenv("COUNTERSIGN_REVOKE_VAULT_TOKEN", tokens["second"])
    with _hand(both) as hand:
        for phase, expected in (("disable", 6), ("delete", 5)):
            changes = _changes(hand, holdings, phase)
            assert len({one.action for one in changes}) == expected
            for change in changes:
                with pytest.raises(RevocationError, match=r"permission denied|still gives out tokens"):
                    hand.write(change)
                assert hand.look(change) == change.before
    assert _differences(before, _state(bao)) == set()


def _one_of_each(bao: SandboxVault, both: VaultFront) -> tuple[list[Holding], dict[str, Any]]:
    bao.approle("denied")
    bao.approle("denied-in")
    accessor = bao.secret_id("globex")
    bao.login("denied-in")
    bao.user("denied")
    _jwt_role(bao, "denied")
    made = bao.client().auth.token.create(policies=["issue"], no_parent=True)["auth"]
    serial = bao.certificate("denied.example")
    records = _read(both)
    uids = (
        *(f"vault:prod:approle/{name}" for name in ("denied", "denied-in")),
        *("vault:prod:user/userpass/denied", "vault:prod:auth-role/jwt/denied", f"vault:prod:token/{made['accessor']}"),
    )
    return [*_holdings(records, *uids), *_holdings(records, also=accessor), *_holdings(records, also=serial)], _state(bao)


def test_the_revokers_policy_makes_every_change_and_nothing_else(bao: SandboxVault, both: VaultFront) -> None:
    holdings, before = _one_of_each(bao, both)
    uids = {one.uid for one in holdings}
    with _hand(both) as hand:
        for phase in ("disable", "delete"):
            changes = _changes(hand, holdings, phase)
            assert uids == {uid for one in changes for uid in one.takes} or phase == "delete"
            _make(hand, changes)
            assert list(hand.changes(holdings, phase, SINCE)) == []
    for place in _differences(before, _state(bao)):
        assert "denied" in place or any(part in uid for part in place.split() for uid in uids if len(part) > 20) or "entities" in place
    revoke = bao.client(token=bao.reader_token(vault.revoke_hcl(), name="tried"))
    bao.user("kept")
    bao.approle("kept")
    _jwt_role(bao, "kept")
    entity = bao.entity("kept")
    forbidden: tuple[Callable[[], object], ...] = (
        lambda: revoke.write_data("auth/userpass/users/kept", data={"password": "mine-now-9"}),
        lambda: revoke.write_data("auth/userpass/users/kept", data={"token_bound_cidrs": [], "token_policies": ["root"]}),
        lambda: revoke.write_data("auth/userpass/users/new", data={"token_bound_cidrs": []}),
        lambda: revoke.write_data("auth/approle/role/kept", data={"token_policies": ["admin"]}),
        lambda: revoke.write_data("auth/approle/role/kept/secret-id", data={}),
        lambda: revoke.write_data("auth/jwt/role/kept", data={"role_type": "jwt", "bound_claims": {}}),
        lambda: revoke.write_data("auth/jwt/config", data={"bound_issuer": "https://mine.example"}),
        lambda: revoke.write_data(f"identity/entity/id/{entity}", data={"disabled": False, "policies": ["admin"]}),
        lambda: revoke.write_data(f"identity/entity/id/{entity}", data={"name": "x"}),
        lambda: revoke.write_data("sys/policies/acl/own", data={"policy": ""}),
        lambda: revoke.read("auth/approle/role/kept/role-id"),
        lambda: revoke.write_data("secret/data/any", data={"data": {}}),
        lambda: revoke.read("auth/userpass/users/kept"),
        lambda: revoke.list("auth/token/accessors"),
        lambda: revoke.read("secret/data/any"),
        lambda: revoke.write_data("sys/leases/revoke-prefix/pki", data={}),
    )
    for refused in forbidden:
        with pytest.raises(hvac.exceptions.Forbidden):
            refused()


def test_a_write_that_is_denied_ignored_cut_or_lost_is_told_apart(bao: SandboxVault, both: VaultFront) -> None:
    bao.user("spoilt")
    with _hand(both) as hand:
        (change,) = _changes(hand, _held("vault:prod:user/userpass/spoilt"))
        path = "auth/userpass/users/spoilt"
        both.spoil("POST", path, "refuse", times=1)
        with pytest.raises(RevocationDeniedError, match="permission denied"):
            hand.write(change)
        assert hand.look(change) == change.before
        both.spoil("POST", path, "ignore", times=1)
        hand.write(change)
        assert hand.look(change) == change.before
        both.spoil("POST", path, "cut", times=1)
        with pytest.raises(RevocationError, match="did not answer"):
            hand.write(change)
        assert hand.look(change) == change.before
        both.heal()
        both.spoil("POST", path, "lose", times=1)
        with pytest.raises(RevocationError, match="did not answer"):
            hand.write(change)
        assert both.calls.count(("POST", path)) == 1
        assert hand.look(change) == change.after
        both.spoil("GET", path, "refuse", times=1)
        with pytest.raises(RevocationDeniedError, match="permission denied"):
            hand.look(change)
        both.spoil("GET", path, "ignore", times=1)
        assert hand.look(change) not in (change.before, change.after, {"exists": False})


def test_looking_or_planning_with_a_part_denied_raises_instead_of_finding_nothing(bao: SandboxVault, both: VaultFront) -> None:
    _jwt_role(bao, "unseen")
    held = _held("vault:prod:auth-role/jwt/unseen")
    for path in ("auth/jwt/role/unseen", "sys/auth"):
        both.spoil("GET", path, "refuse")
        with _hand(both) as hand, pytest.raises(RevocationError, match="permission denied"):
            list(hand.changes(held, "disable", SINCE))
        both.heal()
    with _hand(both) as hand:
        changes = _changes(hand, held)
        _make(hand, changes)
        for verb, path in (("LIST", "auth/token/accessors"), ("POST", "auth/token/lookup-accessor")):
            both.spoil(verb, path, "refuse")
            with pytest.raises(RevocationError, match="permission denied"):
                hand.look(changes[1])
            both.heal()


def test_an_attempt_says_when_it_can_tell_nothing(bao: SandboxVault, both: VaultFront) -> None:
    bao.client().write_data("auth/userpass/users/far", data={"password": "far-away-9", "token_bound_cidrs": ["10.9.0.0/16"]})
    with _hand(both) as hand:
        assert hand.attempt("vault:prod:user/userpass/far", "far-away-9").refused is None
        assert hand.attempt("vault:prod:secret/secret/acme", "x").refused is None
        assert hand.attempt("vault:prod:token/abc", "two\nlines").refused is None
        assert hand.attempt("vault:prod:approle/globex", "{}").refused is None
        made = bao.client().auth.token.create(policies=["default"])["auth"]
        both.spoil("GET", "auth/token/lookup-self", "cut", times=1)
        with pytest.raises(RevocationError, match="did not answer"):
            hand.attempt(f"vault:prod:token/{made['accessor']}", made["client_token"])
        assert made["client_token"] not in repr(hand.attempt(f"vault:prod:token/{made['accessor']}", made["client_token"]))


def test_the_connector_is_a_revoker() -> None:
    assert revoker("vault").hand is vault.hand
