"""IAM statements as what they allow and deny on everything: actions, resources and conditions weighed.

Only what holds for every user, role, group, policy or machine of an account counts; what is narrowed to named ones
does not, except to the holder itself. Total: odd statements give None (cannot be judged), never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal

from countersign.privilege.aws import ACTION_OF, ALL, ALL_OF_IAM, BITS, EVERYTHING, MANAGED, ON, PASSED_TO

_UNHEARD = "~"
"""A service, action or name that no policy names: what matches it matches everything."""
_WHOLE_KIND = re.compile(r"([a-z-]+)[/:]\*[*/]*")
_NUMBER = re.compile(r"\d{12}|\**|\$\{.*\}")
_PARTS = 6
"""arn:partition:service:region:account:resource."""
_LONG = 256
"""No action is as long, and longer resources are named ones: patterns beyond it are not tried, so that hostile ones cost nothing."""

_KINDS = {
    "iam:*user*": "iam:user", "iam:createaccesskey": "iam:user", "iam:*loginprofile": "iam:user", "iam:*group*": "iam:group",
    "iam:*role*": "iam:role", "sts:assumerole": "iam:role", "sts:assumeroot": "iam:root", "iam:*policyversion": "iam:policy",
    "iam:*samlprovider": "iam:saml-provider", "ssm:startsession": "ec2:instance", "ec2-instance-connect:*": "ec2:instance",
    "ec2:*instance*": "ec2:instance", "ssm:sendcommand@instance": "ec2:instance", "ssm:sendcommand@document": "ssm:document",
    f"iam:{_UNHEARD}": "iam:*", f"{_UNHEARD}:{_UNHEARD}": f"{_UNHEARD}:*",
}  # fmt: skip
"""Action to the service and kind of the resource that it is about; what is not named here may be about any kind of its service."""
_NAMES: dict[str, int] = {}
_ABOUT: dict[tuple[str, str], int] = {}
for _word, _action in ACTION_OF.items():
    _bit = BITS[_word]
    _name = {EVERYTHING: f"{_UNHEARD}:{_UNHEARD}", ALL_OF_IAM: f"iam:{_UNHEARD}"}.get(_word, _action.lower())
    _plain = _name + _word.lower().removeprefix(_name) if ON in _word else _name
    _NAMES[_name] = _NAMES.get(_name, 0) | _bit
    # AddUserToGroup is about the group.
    _found = [about for one, about in _KINDS.items() if fnmatchcase(_plain, one)]
    _key = (_found[-1] if _plain == "iam:addusertogroup" else _found[0] if _found else f"{_name.partition(':')[0]}:").partition(":")
    _ABOUT[_key[0], _key[2]] = _ABOUT.get((_key[0], _key[2]), 0) | _bit
_SERVICES = frozenset(name.partition(":")[0] for name in _NAMES)
_PASSED = {word.partition(PASSED_TO)[2]: bit for word, bit in BITS.items() if PASSED_TO in word}
_PASSING = sum(_PASSED.values())
_ANY_SCRIPT = "document/AWS-RunShellScript"
"""A document that runs whatever it is given is as good as every document."""

_SELF = {
    ":user/": ("iam:AttachUserPolicy", "iam:PutUserPolicy"),
    ":role/": ("iam:AttachRolePolicy", "iam:PutRolePolicy"),
    ":group/": ("iam:AttachGroupPolicy", "iam:PutGroupPolicy"),
    ":policy/": ("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion"),
}
_SELF_BITS = {kind: sum(BITS[name] for name in names) for kind, names in _SELF.items()}
_ANY_SELF = sum(_SELF_BITS.values())

_HOW_ONE_COMES = re.compile(
    r"aws:(multifactorauth(present|age)|sourceip|vpcsourceip|sourcevpc|sourcevpce|vpce\w+|securetransport|requestedregion|useragent|referer"
    r"|resourceaccount|resourceorgid|resourceorgpaths)"
)
"""Keys about where, how and how safely one comes, or that one stays in the organisation: they take no power away."""
_WHAT_IT_IS_DONE_TO = re.compile(r"(?!aws:).*|aws:(resourcetag/.*|requesttag/.*|tagkeys|sourcearn|sourceaccount|sourceorg\w+)", re.DOTALL)
"""Keys of a service, and global ones about the resource: they narrow."""
_PASSED_TO_SERVICE = "iam:passedtoservice"
_ADMINISTRATORS = tuple(f"arn:aws:iam::aws:policy/{name}" for name in MANAGED)
_Weight = Literal["counts", "narrows", "unknown"]


@dataclass(frozen=True, slots=True)
class Allowances:
    """What one policy allows and denies, in the bits of `countersign.privilege.aws`."""

    certain: int = 0
    """Allowed on everything."""
    possible: int = 0
    """Allowed on everything under a condition that is not understood; or the policy was not read."""
    denied: int = 0
    """Denied on everything, without condition."""
    own: tuple[tuple[int, str, bool], ...] = ()
    """Allowed on a named user, role, group or policy: bits, ARN as the policy writes it, whether certain."""


NOTHING = Allowances()
NOT_READ = Allowances(possible=ALL)


def allowances(statements: Iterable[Mapping[str, object]]) -> Allowances | None:
    """Weigh the statements of one policy; None where one of them is not of IAM's grammar, or names an action longer than any."""
    certain = possible = denied = 0
    own: list[tuple[int, str, bool]] = []
    for statement in statements:
        effect, conditions = statement.get("Effect"), statement.get("Condition") or {}
        actions, resources = _either(statement, "Action"), _either(statement, "Resource")
        if effect not in ("Allow", "Deny") or actions is None or resources is None or not isinstance(conditions, Mapping):
            return None
        if any(len(one) > _LONG for one in actions[0]):
            return None
        held = _actions(*actions)
        if not held or (effect == "Deny" and conditions):
            continue
        on_all = held & _reach(*resources)
        if effect == "Deny":
            denied |= on_all
            continue
        weight, passing = _weigh(conditions)
        if weight == "narrows":
            continue
        held &= passing
        certain |= on_all & passing if weight == "counts" else 0
        possible |= on_all & passing if weight == "unknown" else 0
        if held & _ANY_SELF & ~on_all and not resources[1]:
            own += _named(held & ~on_all, resources[0], certain=weight == "counts")
    return Allowances(certain, possible, denied, tuple(own)) if certain or possible or denied or own else NOTHING


def _either(statement: Mapping[str, object], name: str) -> tuple[tuple[str, ...], bool] | None:
    """Give the patterns of `Action` or `NotAction` (of `Resource` or `NotResource`), and whether it is the Not form."""
    plain, negated = statement.get(name), statement.get(f"Not{name}")
    if (plain is None) == (negated is None):
        return None
    value = negated if plain is None else plain
    patterns = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list | tuple) else ()
    return (patterns, plain is None) if patterns and all(isinstance(one, str) for one in patterns) else None


def _actions(patterns: tuple[str, ...], negated: bool) -> int:  # noqa: FBT001 -- a pair as _either gives it
    named = 0
    for pattern in patterns:
        named |= _matching(pattern)
    return ALL & ~named if negated else named


@lru_cache(maxsize=4096)
def _matching(pattern: str) -> int:
    lowered = pattern.lower()
    if "*" not in lowered and "?" not in lowered:
        return _NAMES.get(lowered, 0)
    service = lowered.partition(":")[0]
    if "*" not in service and "?" not in service and service not in _SERVICES:
        return 0
    if lowered == EVERYTHING:
        return ALL
    # fnmatch knows brackets, IAM does not; its stars do not backtrack, which a hostile policy could otherwise use.
    plain = lowered.replace("[", "[[]")
    return sum(bit for name, bit in _NAMES.items() if fnmatchcase(name, plain))


def _reach(patterns: tuple[str, ...], negated: bool) -> int:  # noqa: FBT001 -- a pair as _either gives it
    """Give the bits of the actions that the resources leave whole: all but a few named ones is all."""
    reached = 0
    for pattern in patterns:
        reached |= ALL if pattern == "*" else _reached(pattern) if len(pattern) < _LONG else 0
    return ALL & ~reached if negated else reached


@lru_cache(maxsize=4096)
def _reached(pattern: str) -> int:
    if _all_stars(pattern):
        return ALL
    parts = pattern.split(":", 5)
    if parts[0] != "arn" or (len(parts) < _PARTS and not pattern.endswith("*")):
        return 0
    _, _, service, _, number, resource = parts + ["*"] * (_PARTS - len(parts))
    if not _NUMBER.fullmatch(number):
        return 0
    everything, whole = _all_stars(resource), _WHOLE_KIND.fullmatch(resource)
    wanted = whole[1] if whole else "document" if _covers(resource, _ANY_SCRIPT) else resource
    reached = 0
    for (of, kind), bits in _ABOUT.items():
        if _covers(service, of) and (everything or (kind == wanted if kind else whole)):
            reached |= bits
    return reached


def _named(held: int, patterns: tuple[str, ...], *, certain: bool) -> Iterable[tuple[int, str, bool]]:
    for pattern in patterns:
        for kind, bits in _SELF_BITS.items():
            if kind in pattern and held & bits and len(pattern) < _LONG:
                yield held & bits, pattern, certain


def _weigh(conditions: Mapping[object, object]) -> tuple[_Weight, int]:
    """Say whether an Allow under these conditions still counts, and which services it may pass roles to."""
    weight: _Weight = "counts"
    passing = ALL
    for operator, keys in conditions.items():
        words = str(operator).lower().removeprefix("foranyvalue:").removeprefix("forallvalues:")
        if not isinstance(keys, Mapping):
            return "unknown", passing
        for key, wanted in keys.items():
            values = _values(wanted)
            found = _one(str(key).lower(), values, negated="not" in words)
            if str(key).lower() == _PASSED_TO_SERVICE and found == "counts":
                passing &= ~_PASSING | _services(values)
            if found == "narrows":
                return found, passing
            weight = "unknown" if found == "unknown" else weight
    return weight, passing


def _one(key: str, values: tuple[str, ...], *, negated: bool) -> _Weight:
    if _HOW_ONE_COMES.fullmatch(key):
        return "counts"
    if negated:
        return "unknown"
    attaches_power = key == "iam:policyarn" and any(_covers(value, arn) for value in values for arn in _ADMINISTRATORS)
    if key == _PASSED_TO_SERVICE or attaches_power or any(_all_stars(value) for value in values):
        return "counts"
    return "narrows" if _WHAT_IT_IS_DONE_TO.fullmatch(key) else "unknown"


def _services(values: tuple[str, ...]) -> int:
    return sum(bit for service, bit in _PASSED.items() if any(_covers(value.lower(), f"{service}.amazonaws.com") for value in values))


def _all_stars(pattern: str) -> bool:
    return "*" in pattern and not pattern.strip("*?")


def _covers(pattern: str, text: str) -> bool:
    return len(pattern) < _LONG and fnmatchcase(text, pattern.replace("[", "[[]"))


def _values(wanted: object) -> tuple[str, ...]:
    listed = wanted if isinstance(wanted, list | tuple) else (wanted,)
    return tuple(str(one) for one in listed)


def held_by(allowed: Allowances, name: str, own: Iterable[str]) -> tuple[int, int]:
    """Give the bits that a holder has by one policy: certain and possible.

    `own` are ARNs of the holder itself, of its groups and of the policies that it holds: what may rewrite one of
    these promotes the holder, however narrow it is.
    """
    certain, possible = allowed.certain, allowed.possible
    for bits, pattern, sure in allowed.own:
        written = pattern.replace("${aws:username}", name)
        mine = sum(of for kind, of in _SELF_BITS.items() if any(kind in arn and _covers(written, arn) for arn in own))
        certain, possible = (certain | bits & mine, possible) if sure else (certain, possible | bits & mine)
    return certain, possible
