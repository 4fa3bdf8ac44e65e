"""Vault and OpenBao policies: what their paths and capabilities make of whoever holds them.

A request is decided by the most specific path of the policy that matches it and by nothing else, as the server does it.
So each rule is put as requests, for a name that the policy does not know where every name must be allowed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

ROOT = "root"
_UNHEARD = "~"
_ITSELF = "<itself>"
_WRITE, _SUDO_WRITE = "create or update", "sudo with create or update"
_NEEDS: Mapping[str, tuple[frozenset[str], ...]] = {
    "create, update and delete": (frozenset({"create", "update", "delete"}),),
    _WRITE: (frozenset({"create"}), frozenset({"update"})),
    _SUDO_WRITE: (frozenset({"sudo", "create"}), frozenset({"sudo", "update"})),
    "sudo with read": (frozenset({"sudo", "read"}),),
}
"""What a request takes, to the sets of capabilities any of which is enough."""

_POLICIES = "Vault documentation, Policies"
_AUTH = "Vault API, Auth methods"
_IDENTITIES = "Vault API, Identity secrets engine"
_ROOT_POLICY = Rule("vault-root", "administrator", "The root policy may do everything, and nothing can be denied to it.", _POLICIES)


def _each(needs: str, *paths: str) -> tuple[tuple[tuple[str, str], ...], ...]:
    return tuple(((needs, path),) for path in paths)


WAYS: tuple[tuple[Rule, tuple[tuple[tuple[str, str], ...], ...]], ...] = (
    (
        Rule("vault-everything", "administrator", "May write on every path.", _POLICIES),
        _each("create, update and delete", "~/~/~/~"),
    ),
    (
        Rule("vault-write-policies", "administrator", "Can write every policy, or this very one, and so give itself anything.", _POLICIES),
        _each(_WRITE, *(f"{where}/{name}" for where in ("sys/policies/acl", "sys/policy") for name in (_UNHEARD, _ITSELF))),
    ),
    (
        Rule("vault-raw-storage", "administrator", "Can read or write the storage beneath all policies.", "Vault API, /sys/raw"),
        _each(_SUDO_WRITE, "sys/raw/~") + _each("sudo with read", "sys/raw/~"),
    ),
    (
        Rule("vault-write-logins", "escalation", "Can give a role, user or group that logs in any policy but root.", _AUTH),
        (
            *_each(_WRITE, *(f"auth/+/{what}/+" for what in ("role", "users", "groups", "certs", "map/users", "map/teams"))),
            *_each(_WRITE, *(f"auth/+/{what}" for what in ("role/+/policies", "role/+/token-policies", "users/+/policies"))),
            ((_WRITE, "auth/token/roles/+"), (_WRITE, "auth/token/create/+")),
        ),
    ),
    (
        Rule("vault-log-in-as-any", "escalation", "Can make a secret or password of every role or user, and log in as it.", _AUTH),
        _each(_WRITE, "auth/+/role/~/secret-id", "auth/+/role/~/custom-secret-id", "auth/+/users/~/password"),
    ),
    (
        Rule("vault-write-identities", "escalation", "Can give an entity or group any policy but root.", _IDENTITIES),
        _each(
            _WRITE,
            *(f"identity/{what}" for what in ("entity", "group", "entity-alias", "group-alias", "entity/merge")),
            *(f"identity/{what}/{by}/+" for what in ("entity", "group") for by in ("id", "name")),
            *(f"identity/{what}/id/+" for what in ("entity-alias", "group-alias")),
        ),
    ),
    (
        Rule("vault-any-token", "escalation", "Can make tokens with any policy but root.", "Vault API, Token auth method"),
        _each(_SUDO_WRITE, "auth/token/create", "auth/token/create-orphan"),
    ),
    (
        Rule("vault-auth-methods", "escalation", "Can add a way to log in, or a plugin that decides who does.", "Vault API, /sys/auth"),
        _each(_SUDO_WRITE, "sys/auth/+", "sys/plugins/catalog/+/+"),
    ),
)  # fmt: skip
"""Each rule with the requests any of which is enough (those of an inner tuple together): what it takes, and its path.

`+` is any one name, `~` one that the policy does not know, `<itself>` the policy's own.
"""
RULES: tuple[Rule, ...] = (_ROOT_POLICY, *(rule for rule, _ in WAYS))

# https://developer.hashicorp.com/vault/docs/concepts/policies: the older `policy = "write"` form still works.
_SHORTHAND = {
    "deny": frozenset({"deny"}),
    "read": frozenset({"read", "list"}),
    "write": frozenset({"create", "read", "update", "delete", "list"}),
    "sudo": frozenset({"create", "read", "update", "delete", "list", "sudo"}),
}
_OF_ONE_MOUNT = re.compile(r"auth/(token/|[^/]+/(role|roles|users|groups|certs|map|login|config)/)")
"""Requests whose auth method is mounted one name deep, whatever follows."""
_QUOTED = re.compile(r'"([^"\\\n]*)"')


def policy(name: str, text: str) -> Verdict:
    """Judge a policy by its name and its text (HCL or JSON); power None when the text cannot be understood."""
    if name == ROOT:
        return given_by(_ROOT_POLICY)
    # Most policies name no path that matters, and HCL is slow to parse. An escape could spell a path differently.
    if "\\" not in text and not any(_witness(path, asked) for path in set(_QUOTED.findall(text)) for asked in _asked(name)):
        return LIMITED
    try:
        granted = _granted(text)
    except Exception:  # noqa: BLE001 - the parser raises many kinds, and a policy that it cannot read is simply not known
        return UNREAD
    return next((given_by(rule) for rule, ways in WAYS if any(all(_may(granted, *one, name) for one in way) for way in ways)), LIMITED)


def capabilities(granted: Mapping[str, Collection[str]], request: str) -> frozenset[str]:
    """Give what paths with their capabilities allow on a request's path: what the most specific one says; nothing where it denies."""
    matching = [path for path in granted if _matches(path, request)]
    found = frozenset(granted[max(matching, key=_precedence)]) if matching else frozenset()
    return frozenset() if "deny" in found else found


def applies() -> dict[str, tuple[str, ...]]:
    """Say by rule id what makes it apply, for docs/privileges.md."""
    said = {rule.id: tuple(" with ".join(f"{needs} on `{path}`" for needs, path in way) for way in ways) for rule, ways in WAYS}
    return {_ROOT_POLICY.id: ("the policy `root`",), **said}


def _may(granted: Mapping[str, Collection[str]], needs: str, asked: str, name: str) -> bool:
    path, *deeper = _spelt(asked, name)
    found = {request for held in granted if (request := _witness(held, path)) is not None}
    found |= {request for held in granted for one in deeper if (request := _witness(held, one)) and not _OF_ONE_MOUNT.match(request)}
    return any(enough <= capabilities(granted, one) for one in found for enough in _NEEDS[needs])


def _asked(name: str) -> Iterator[str]:
    return (path for _, ways in WAYS for way in ways for _, asked in way for path in _spelt(asked, name))


def _spelt(asked: str, name: str) -> tuple[str, ...]:
    """Name the policy itself; an auth method may be mounted two names deep."""
    path = asked.replace(_ITSELF, name)
    return (path, path.replace("auth/+/", "auth/+/+/", 1)) if path.startswith("auth/+/") else (path,)


def _witness(path: str, asked: str) -> str | None:
    """Give a request that a policy's path matches and that is what is asked; None where there is none."""
    glob, has, asks = path.endswith("*"), path.removeprefix("/").removesuffix("*").split("/"), asked.split("/")
    if len(has) > len(asks) or (len(has) < len(asks) and not glob):
        return None
    made = []
    for index, ask in enumerate(asks):
        part = has[index] if index < len(has) else ""
        if glob and index >= len(has) - 1:
            found = part + _UNHEARD if ask == "+" else ask if ask.startswith(part) else None
        elif part == "+":
            found = _UNHEARD if ask == "+" else ask
        else:
            found = part if ask in {"+", part} else None
        if found is None:
            return None
        made.append(found)
    return "/".join(made)


def _matches(path: str, request: str) -> bool:
    if "+" not in path.split("/"):
        return request.startswith(path[:-1]) if path.endswith("*") else request == path
    glob, has, asks = path.endswith("*"), path.removesuffix("*").split("/"), request.split("/")
    if len(has) > len(asks) or (len(has) < len(asks) and not glob):
        return False
    return all(
        part in {"+", ask} or (glob and index == len(has) - 1 and ask.startswith(part))
        for index, (part, ask) in enumerate(zip(has, asks, strict=False))
    )


def _precedence(path: str) -> tuple[float, bool, int, int, str]:
    """Order paths as the server does: the later the first wildcard the more specific, and an exact path before all others."""
    parts = path.split("/")
    segments = [index for index, part in enumerate(parts) if part == "+"]
    starts = [sum(len(part) + 1 for part in parts[:index]) for index in segments[:1]]
    if path.endswith("*"):
        starts.append(len(path) - 1)
    return (min(starts, default=float("inf")), not path.endswith("*"), -len(segments), len(path), path)


def _granted(text: str) -> dict[str, set[str]]:
    granted: dict[str, set[str]] = {}
    for path, allowed in _rules(text):
        granted.setdefault(path.removeprefix("/"), set()).update(allowed)
    return granted


def _rules(text: str) -> Iterator[tuple[str, frozenset[str]]]:
    if text.lstrip().startswith("{"):
        for path, rule in json.loads(text).get("path", {}).items():
            yield path, _capabilities(rule)
        return
    import hcl2

    for block in hcl2.loads(text).get("path", ()):
        for path, rule in block.items():
            yield _text(path), _capabilities(rule)


def _capabilities(rule: Mapping[str, Any]) -> frozenset[str]:
    named: Iterable[str] = rule.get("capabilities", ())
    return frozenset(_text(c) for c in named) | _SHORTHAND.get(_text(rule.get("policy", "")), frozenset())


def _text(literal: str) -> str:
    """Take off the quotes that the parser leaves around strings, with the escapes undone."""
    if not isinstance(literal, str):
        raise TypeError("a policy's paths and capabilities are strings")
    return str(json.loads(literal)) if literal.startswith('"') else literal
