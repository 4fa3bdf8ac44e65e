from __future__ import annotations

import json
from typing import TYPE_CHECKING

import hvac
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.privilege import LIMITED, STRENGTH
from countersign.privilege.vault import RULES, WAYS, _granted, capabilities, policy
from sandbox.vault import SandboxVault

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from countersign.identity import Power

WRITE = ("create", "update")
ALL = ("create", "read", "update", "delete", "list", "sudo")


def hcl(paths: Mapping[str, Iterable[str]]) -> str:
    return "\n".join(f"path {json.dumps(path)} {{ capabilities = {json.dumps(list(allowed))} }}" for path, allowed in paths.items())


@pytest.mark.parametrize(
    ("paths", "rule"),
    [
        ({"*": ALL}, "vault-everything"),
        ({"*": ("create", "update", "delete")}, "vault-everything"),
        ({"+/*": ("create", "update", "delete")}, "vault-everything"),
        ({"*": ("read", "list")}, None),
        ({"*": ("sudo",)}, None),
        ({"*": ALL, "sys/*": ("deny",), "auth/*": ("deny",), "identity/*": ("deny",)}, "vault-everything"),
        ({"team/*": ALL}, None),
        ({"*": ("update",), "sys/*": ("deny",)}, "vault-write-logins"),
        ({"secret/*": ALL}, None),
        ({"sys/*": WRITE}, "vault-write-policies"),
        ({"sys/policies/acl/*": ("update",)}, "vault-write-policies"),
        ({"/sys/policy/+": ("create",)}, "vault-write-policies"),
        ({"sys/policies/acl/*": WRITE, "sys/policies/acl/admin": ("deny",)}, "vault-write-policies"),
        ({"sys/policies/acl/team-*": WRITE}, None),
        ({"sys/policies/acl/p": WRITE}, "vault-write-policies"),
        ({"sys/policies/acl/p*": WRITE}, "vault-write-policies"),
        ({"sys/policies/acl/other": WRITE}, None),
        ({"sys/*": WRITE, "sys/policies/*": ("deny",), "sys/policy/*": ("deny",)}, None),
        ({"sys/raw/*": ("read", "sudo")}, "vault-raw-storage"),
        ({"sys/raw/*": ("read",)}, None),
        ({"auth/approle/role/*": WRITE}, "vault-write-logins"),
        ({"auth/approle/role/ci": WRITE}, "vault-write-logins"),
        ({"auth/approle/role/ci/*": WRITE}, "vault-write-logins"),
        ({"auth/approle/role/ci/secret-id": WRITE}, None),
        ({"auth/approle/role/+/secret-id": ("update",)}, "vault-log-in-as-any"),
        ({"auth/corp/ldap/groups/*": WRITE}, "vault-write-logins"),
        ({"auth/userpass/users/{{identity.entity.name}}/password": WRITE}, None),
        ({"auth/userpass/users/*": WRITE, "auth/userpass/users/+": ("deny",)}, "vault-write-logins"),
        ({"auth/token/roles/*": WRITE}, None),
        ({"auth/token/roles/*": WRITE, "auth/token/create/*": ("update",)}, "vault-write-logins"),
        ({"auth/token/create": ("update",)}, None),
        ({"auth/token/create": ("update", "sudo")}, "vault-any-token"),
        ({"identity/*": WRITE}, "vault-write-identities"),
        ({"identity/entity/id/+": ("update",)}, "vault-write-identities"),
        ({"identity/lookup/entity": ("update",)}, None),
        ({"sys/auth/*": ("create", "sudo")}, "vault-auth-methods"),
        ({"sys/auth/*": ("create",)}, None),
        ({"sys/mounts/*": ALL}, None),
        ({"sys/capabilities-self": ("update",), "auth/token/renew-self": ("update",), "auth/token/lookup-self": ("read",)}, None),
    ],
)  # fmt: skip
def test_a_policy_is_judged_by_the_requests_that_it_allows(paths: dict[str, tuple[str, ...]], rule: str | None) -> None:
    as_json = json.dumps({"path": {path: {"capabilities": allowed} for path, allowed in paths.items()}})
    assert [rule, rule] == [policy("p", text).rule for text in (hcl(paths), as_json)]


@pytest.mark.parametrize(
    ("text", "power"),
    [
        ('path "*" { policy = "write" }', "administrator"),
        ('path "*" { capabilities = ["update"] }\npath "*" { capabilities = ["deny"] }', "limited"),
        ('# path "*" is not for you\npath "a" { capabilities = ["sudo"] }', "limited"),
        ('path "\\u002a" { capabilities = ["create", "update", "delete"] }', "administrator"),
        ('path "*" { capabilities = [', None),
        ("", "limited"),
    ],
)
def test_every_way_to_write_a_policy_is_read(text: str, power: Power | None) -> None:
    assert power == policy("p", text).power


def test_root_is_root_by_its_name() -> None:
    assert [RULES[0].id, "limited"] == [policy("root", "").rule, policy("roots", "").power]


def test_every_request_of_every_rule_is_enough_on_its_own() -> None:
    for rule, ways in WAYS:
        for way in ways:
            spelt = [path.replace("~/~/~/~", "*").replace("/~/", "/+/").replace("~", "*").replace("<itself>", "p") for _, path in way]
            paths = {path.replace("auth/+/", "auth/corp/"): ALL for path in spelt}
            assert rule.id == policy("p", hcl(paths)).rule, way


PATHS = st.lists(
    st.sampled_from(("sys", "policies", "acl", "auth", "token", "role", "users", "identity", "+", "x")), min_size=1, max_size=4
).map("/".join)
GRANTED = st.dictionaries(
    st.tuples(PATHS, st.sampled_from(("", "/*"))).map("".join) | st.just("*"), st.sets(st.sampled_from((*ALL, "deny"))), max_size=5
)


@given(GRANTED, GRANTED)
def test_taking_capabilities_away_never_raises_power(granted: dict[str, set[str]], fewer: dict[str, set[str]]) -> None:
    less = {path: sorted(allowed - fewer.get(path, set())) for path, allowed in granted.items()}
    less = {path: ["deny", *allowed] if "deny" in granted[path] else allowed for path, allowed in less.items()}
    assert STRENGTH[policy("p", hcl(less)).power] <= STRENGTH[policy("p", hcl(granted)).power]


@given(GRANTED)
def test_the_order_of_paths_does_not_matter(granted: dict[str, set[str]]) -> None:
    backwards = dict(reversed(granted.items()))
    assert policy("p", hcl(granted)) == policy("p", hcl(backwards))


@given(st.text(alphabet='path"*+/{}[]=,\\ \n#:', max_size=40))
def test_no_policy_text_breaks_the_reading(text: str) -> None:
    assert policy("p", text).power in {"administrator", "escalation", "limited", None}


SPECIFICITY = (
    {"*": ("read",), "secret/*": ("list",), "secret/+": ("update",), "secret/a": ("create",)},
    {"secret/+/b": ("read",), "secret/a/*": ("list",), "secret/a/+": ("update",)},
    {"secret/*": ("read",), "secret/+/+/foo/*": ("list",), "secret/+/b/*": ("update",)},
    {"+/a/b": ("read",), "secret/+/b": ("deny",), "+/*": ("list",)},
    {"secret/a*": ("read",), "secret/ab*": ("update", "deny"), "secret/+": ("list",)},
    {"+/+": ("read",), "+/a": ("list",), "+/b/*": ("update",)},
)
REQUESTS = (
    "secret/a",
    "secret/ab",
    "secret/abc",
    "secret/a/b",
    "secret/z/b",
    "secret/a/b/foo/c",
    "secret/z/b/c",
    "other/a",
    "other/b/c",
    "other",
)


def test_the_real_server_chooses_the_same_path() -> None:
    with SandboxVault() as server:
        client = server.client()
        for number, paths in enumerate(SPECIFICITY):
            server.policy(f"p{number}", hcl(paths))
            token = client.auth.token.create(policies=[f"p{number}"], no_default_policy=True)["auth"]["client_token"]
            answer = client.write("sys/capabilities", token=token, paths=list(REQUESTS))["data"]
            expected = {path: {one for one in answer[path] if one != "deny"} for path in REQUESTS}
            assert expected == {path: set(capabilities(_granted(hcl(paths)), path)) for path in REQUESTS}, paths


def test_the_real_server_refuses_and_allows_what_the_rules_say() -> None:
    with SandboxVault() as server:
        server.policy("only-sudo", hcl({"*": ("sudo",)}))
        server.policy("token-maker", hcl({"auth/token/create": ("update", "sudo")}))
        server.policy("token-user", hcl({"auth/token/create": ("update",)}))
        server.policy("admin", hcl({"*": ALL}))

        def may(name: str, path: str, **body: object) -> bool:
            made = server.client().auth.token.create(policies=[name], no_default_policy=True)["auth"]["client_token"]
            try:
                server.client(token=made).write(path, **body)
            except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
                return False
            return True

        asked = {"path": "auth/token/create", "policies": ["admin"], "no_default_policy": True}
        assert [False, True, False] == [may(name, **asked) for name in ("only-sudo", "token-maker", "token-user")]
        assert not may("only-sudo", "sys/policies/acl/x", policy="")
        assert [LIMITED, LIMITED] == [
            policy("only-sudo", hcl({"*": ("sudo",)})),
            policy("token-user", hcl({"auth/token/create": ("update",)})),
        ]
