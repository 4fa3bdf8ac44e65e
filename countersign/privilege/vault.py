"""Vault and OpenBao policies: what their paths and capabilities make of whoever holds them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from countersign.privilege import LIMITED, UNREAD, Rule, Verdict, given_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT = "root"

_EVERYTHING = (frozenset({"sudo"}), frozenset({"create", "update", "delete"}))
_WRITE = (frozenset({"create"}), frozenset({"update"}))
PRIVILEGED: Mapping[str, tuple[frozenset[str], ...]] = {
    "*": _EVERYTHING,
    "+/*": _EVERYTHING,
    # Whoever may write policies, or roles and users with any policy, can make themselves an administrator.
    "auth/*": _WRITE,
    "sys/*": _WRITE,
    "sys/policies/*": _WRITE,
    "sys/policies/acl/*": _WRITE,
    "sys/policy/*": _WRITE,
}
"""Path to the sets of capabilities, any of which is enough."""

# https://developer.hashicorp.com/vault/docs/concepts/policies: the older `policy = "write"` form still works.
_SHORTHAND = {
    "deny": frozenset({"deny"}),
    "read": frozenset({"read", "list"}),
    "write": frozenset({"create", "read", "update", "delete", "list"}),
    "sudo": frozenset({"create", "read", "update", "delete", "list", "sudo"}),
}


_POLICY = Rule("vault-policy", "administrator", "May write policies, auth methods or everything.", "Vault policies")
RULES: tuple[Rule, ...] = (_POLICY,)


def policy(name: str, text: str) -> Verdict:
    """Judge a policy by its name and its text (HCL or JSON); power None when the text cannot be understood."""
    if name == ROOT:
        return given_by(_POLICY)
    # Most policies name none of these paths, and HCL is slow to parse. An escape could spell a path differently.
    if "\\" not in text and not any(f'"{path}"' in text for path in PRIVILEGED):
        return LIMITED
    try:
        rules = tuple(_rules(text))
    except Exception:  # noqa: BLE001 - the parser raises many kinds, and a policy that it cannot read is simply not known
        return UNREAD
    granted: dict[str, set[str]] = {}
    for path, capabilities in rules:
        granted.setdefault(path, set()).update(capabilities)
    held = any(
        "deny" not in capabilities and any(enough <= capabilities for enough in PRIVILEGED.get(path, ()))
        for path, capabilities in granted.items()
    )
    return given_by(_POLICY) if held else LIMITED


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
