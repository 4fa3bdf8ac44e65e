"""IAM policy documents: what they allow and deny, and which outside parties a trust policy lets in.

Everything here is total: odd JSON gives None (cannot be judged), never an exception.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import unquote

from countersign.privilege.aws import MANAGED
from countersign.privilege.aws_statements import Allowances, allowances

if TYPE_CHECKING:
    from countersign.identity import PartyKind

_ALL = re.compile(r"[*?]*")
_AWS_MANAGED = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/(.+)")
_ASSUMING = ("sts:assumerole", "sts:assumerolewithwebidentity", "sts:assumerolewithsaml")
_UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,}")
_ACCOUNT = re.compile(r"\d{12}")
_EQUALS = frozenset({"stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"})
"""Operators that fail when the key is absent; their `IfExists` and `ForAllValues:` forms pass then, so they narrow nothing."""
_ANYONE_KEYS = ("aws:principalorgid", "aws:principalaccount", "aws:principalarn", "sts:externalid")
DELETED_PRINCIPAL = "the principal was deleted"
_Narrowing = Mapping[str, tuple[str, tuple[str, ...]]]
"""Condition key in lower case, to its spelling in the document and its values."""


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody outside the account whom a trust policy lets in."""

    kind: PartyKind
    party: str
    condition: str | None
    """The condition key that narrows it, spelt as in the document; None: nothing does."""


def document(value: object) -> Mapping[str, object] | None:
    """Give a policy as a mapping, from a mapping, JSON or URL-encoded JSON; None when it is none of these."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str):
        return None
    try:
        parsed = json.loads(value if value.lstrip().startswith("{") else unquote(value))
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def managed(arn: str) -> Allowances | None:
    """Give what an ARN is known to allow without its document: AWS's own administrators, in any partition; None for others."""
    found = _AWS_MANAGED.fullmatch(arn)
    bits = MANAGED.get(found[1]) if found else None
    return None if bits is None else Allowances(certain=bits)


def allowed(value: object) -> Allowances | None:
    """Give what a policy allows and denies; None when it cannot be read, or one of its statements is not of IAM's grammar."""
    statements = statements_of(value)
    return None if statements is None else allowances(statements)


def outside_parties(value: object, account: str) -> tuple[Party, ...] | None:
    """List whom a trust policy lets in from outside the account, each once; None when the policy cannot be read.

    AWS services and the account's own principals are left out. A deleted principal (AROA..., AIDA...) stays as an
    account of unknown number, narrowed by `DELETED_PRINCIPAL`: nobody can be it any more, and IAM never reuses the id.
    """
    statements = statements_of(value)
    if statements is None:
        return None
    found: dict[Party, None] = {}
    for statement in statements:
        if not lets_in(statement):
            continue
        conditions = _narrowing(statement.get("Condition"))
        for kind, name in _principals(statement):
            party = _party(kind, name, conditions, account)
            if party is not None:
                found[party] = None
    return tuple(found)


def lets_in(statement: Mapping[str, object]) -> bool:
    """Whether a statement of a trust policy lets anybody assume the role, an AWS service or the account itself included."""
    return statement.get("Effect") == "Allow" and _allows_assuming(statement)


def party_of(kind: str, name: str, account: str) -> tuple[PartyKind, str] | None:
    """Give the party that one principal of a trust policy is; None for services and the account's own."""
    party = _party(kind, name, {}, account)
    return None if party is None else (party.kind, party.party)


def is_deleted(kind: str, name: str) -> bool:
    """Whether a principal is shown by its unique id, which IAM does once it was deleted."""
    return kind == "AWS" and _UNIQUE_ID.fullmatch(name) is not None


def statements_of(value: object) -> tuple[Mapping[str, object], ...] | None:
    """Give a policy's statements; None when it cannot be read."""
    policy = document(value)
    if policy is None:
        return None
    listed = policy.get("Statement")
    if isinstance(listed, Mapping):
        return (listed,)
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        return None
    return tuple(listed)


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, (list, tuple)) else ()


def _allows_assuming(statement: Mapping[str, object]) -> bool:
    # An Allow with NotAction lets in through everything it does not name: taken as assuming, the careful reading.
    if "NotAction" in statement:
        return True
    # fnmatch translates stars without backtracking, which a hostile policy could otherwise use to stall the read.
    patterns = [one.lower().replace("[", "[[]") for one in _texts(statement.get("Action"))]
    return any(fnmatchcase(action, one) for one in patterns for action in _ASSUMING)


def _principals(statement: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    # AWS refuses most Allow + NotPrincipal; what is left of it lets in everybody but the named.
    if "NotPrincipal" in statement:
        yield "AWS", "*"
        return
    principal = statement.get("Principal")
    if principal == "*":
        yield "AWS", "*"
    elif isinstance(principal, Mapping):
        for kind, names in principal.items():
            for name in _texts(names):
                yield kind, name


def _narrowing(condition: object) -> _Narrowing:
    """Find the condition keys that must be present and match something."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for operator, keys in condition.items() if isinstance(condition, Mapping) else ():
        plain = str(operator).lower().removeprefix("foranyvalue:")
        if plain not in _EQUALS or not isinstance(keys, Mapping):
            continue
        for key, wanted in keys.items():
            values = _texts(wanted)
            if values and not any(_ALL.fullmatch(one) for one in values):
                found[str(key).lower()] = (str(key), values)
    return found


def _party(kind: str, name: str, conditions: _Narrowing, account: str) -> Party | None:
    if kind == "Federated" and name:
        return _federated(name, conditions)
    if kind != "AWS" or not name:
        return None
    if name == "*":
        return None if _only_own(conditions, account) else Party("anyone", "*", _first(conditions, _ANYONE_KEYS))
    number = _account(name)
    if number is None:
        deleted = _UNIQUE_ID.fullmatch(name) is not None
        return Party("aws-account", name, DELETED_PRINCIPAL if deleted else _first(conditions, ("sts:externalid",)))
    return None if number == account else Party("aws-account", number, _first(conditions, ("sts:externalid",)))


def _account(name: str) -> str | None:
    """Give the account number in a principal: the number itself, or the fifth part of an ARN."""
    return name if _ACCOUNT.fullmatch(name) else next(iter(name.split(":", 5)[4:5]), None) or None


def _federated(name: str, conditions: _Narrowing) -> Party:
    if ":saml-provider/" in name:
        return Party("saml-provider", name, _first(conditions, tuple(key for key in conditions if key.startswith("saml:"))))
    issuer = name.split(":oidc-provider/", 1)[-1]
    # A subject says more than an audience, which shared issuers give to everybody: so it is named first.
    keys = sorted((key for key in conditions if key.endswith((":sub", ":aud"))), key=lambda key: (key.endswith(":aud"), key))
    return Party("oidc-issuer", f"https://{issuer}", _first(conditions, tuple(keys)))


def _first(conditions: _Narrowing, keys: tuple[str, ...]) -> str | None:
    return next((conditions[key][0] for key in keys if key in conditions), None)


def _only_own(conditions: _Narrowing, account: str) -> bool:
    _, accounts = conditions.get("aws:principalaccount", ("", ()))
    _, arns = conditions.get("aws:principalarn", ("", ()))
    own_arn = re.compile(rf"arn:[a-z-]+:(iam|sts)::{re.escape(account)}:.+")
    return (bool(accounts) and all(one == account for one in accounts)) or (bool(arns) and all(own_arn.fullmatch(one) for one in arns))
