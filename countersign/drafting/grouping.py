"""Puts identities together that look like one use: the same tag, name or purpose, one partner, one owner, one environment; all pure."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from countersign.drafting.people import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from countersign.drafting.found import Found
    from countersign.register.records import Register

LARGEST = 200
"""Identities of one workload: a file that a person can still read. More of them make a second workload."""
_FAMILY = 20
"""Different names that may share a first word and be one use; a word that more begin with is a prefix that says nothing."""
_SPELT_ALIKE = 0.8
"""Share of letters in common from which a word may be a misspelling of an environment that has limits, and is no guess."""
_LONE = 100
"""Workloads of one identity each, for one partner, owner and environment, that a person goes through one by one."""
_PURPOSE_OF = 4
"""Groups that the same words of purpose may join; what more share ("managed by terraform") says nothing."""
_WORKLOAD_TAGS = ("workload", "nhi:workload", "system", "application", "app", "service", "component")
_ENVIRONMENT_TAGS = ("environment", "nhi:environment", "env", "stage")
_ENVIRONMENTS = {
    "production": ("production", "prod", "prd", "live"),
    "staging": ("staging", "stage", "stg", "preprod"),
    "test": ("test", "tst", "testing", "uat", "qa"),
    "development": ("development", "dev", "devel"),
}
_NOISE = frozenset((
    "cn", "svc", "sa", "srv", "app", "apps", "application", "user", "role", "roles", "iam", "service", "services", "account", "accounts",
    "serviceaccount", "bot", "func", "function", "lambda", "id", "principal", "sp", "spn", "identity", "managed", "aws", "gcp", "azure",
    "entra", "vault", "arn", "key", "token", "the", "of", "and", "for", "to", "in", "a", "an",
))  # fmt: skip
"""Words of a name that do not tell what it is for."""
_UNTAGGED = {"human": ("people",), "delegation": ("ways", "in")}
"""People and standing ways in of a partner are not told apart by their names."""

Key = tuple[str | None, str, tuple[str, ...]]
"""Partner, what kind of likeness, and its words."""


@dataclass(frozen=True, slots=True)
class Group:
    """Identities that are proposed as one workload."""

    partner: str | None
    label: tuple[str, ...]
    """Words of its name, without the partner's."""
    owner: str | None
    """Person that evidence on one of them names; None: none does."""
    environment: str | None
    members: tuple[int, ...]
    """Positions in what was given."""
    is_rest: bool = False
    """They only have in common where they are."""


def grouped(
    found: Sequence[Found], owners: Sequence[str | None], environments: Sequence[str | None], register: Register
) -> Iterator[Group]:
    """Yield groups, in a stable order; `owners` and `environments` are what is said of each identity itself."""
    dull = {partner.id: frozenset((*words(partner.id), *words(partner.name)[:1])) for partner in register.partners.values()}
    ours = frozenset((*words(register.customer.id), *words(register.customer.name)[:1]))
    stems = [_stem(one, dull.get(one.partner or "", frozenset()) | ours) for one in found]
    keys = _keys(found, stems, dull, ours)
    likes: dict[Key, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        likes[key].append(position)
    groups = [
        group
        for key in sorted(likes, key=lambda key: (key[0] or "", key[2], key[1]))
        for group in _split(key, likes[key], stems, owners, environments)
    ]
    yield from _few(groups, found)


def environment_of(one: Found, register: Register, scopes: Mapping[tuple[str, str], str]) -> tuple[str, str] | None:
    """Return the environment of an identity and what says so: a tag, its scope in the customer's policies, or its name.

    `scopes`: (provider, scope) to environment, as `environments_of_scopes` gives it. None: nothing says so.
    """
    for key, value in one.tags.items():
        if key.casefold() in _ENVIRONMENT_TAGS and (called := _environment(value, register)) is not None:
            return called, f"tag {key}={value}"
    if (one.provider, one.scope) in scopes:
        return scopes[one.provider, one.scope], f"the policies say that {one.provider}:{one.scope} is"
    if one.track == "machine":
        for word in words(one.name.partition("@")[0]):
            if any(word in spelt for spelt in _ENVIRONMENTS.values()):
                called = _environment(word, register)
                return None if called is None else (called, f"{word} in its name")
    return None


def environments_of_scopes(register: Register, scopes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the environment of each (provider, scope) that the customer's policies list; the first by name, where two do."""
    held: dict[tuple[str, str], str] = {}
    for name, entry in sorted(register.policies.environments.items(), reverse=True):
        for pattern in entry.scopes:
            provider, _, scope = pattern.partition(":")
            fits = re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in scope), re.DOTALL)
            held.update({at: name for at in scopes if at[0] == provider and fits.fullmatch(at[1])})
    return held


def _environment(said: str, register: Register) -> str | None:
    """Return the register's own word for an environment, else the usual one; None where the text is no word for one."""
    word = said.strip().casefold()
    spelt = next((spelt for spelt in _ENVIRONMENTS.values() if word in spelt), (word,))
    known = (*register.policies.environments, *(entry.environment for entry in register.workloads.values() if entry.environment))
    ours = next((name for name in known if name.casefold() in spelt), None)
    if ours is not None:
        return ours
    if difflib.get_close_matches(spelt[0], [name.casefold() for name in register.policies.environments], cutoff=_SPELT_ALIKE):
        return None
    return spelt[0] if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", spelt[0]) else None


def _stem(one: Found, dull: frozenset[str]) -> tuple[str, ...]:
    """Return the words of a name that tell what it is for."""
    name = one.name.removeprefix("CN=").partition(",")[0]
    name = name.partition("@")[0] if "@" in name else name
    if name.startswith("arn:"):
        name = re.split(r"[:/]", name)[-1]
    said = [word for word in words(name[:200]) if word not in dull]
    kept = [word for word in said if not _says_nothing(word)]
    return tuple(kept) or tuple(word for word in said if word in _NOISE) or tuple(words(one.kind))


@lru_cache(maxsize=1 << 16)
def _says_nothing(word: str) -> bool:
    if word in _NOISE or any(word in spelt for spelt in _ENVIRONMENTS.values()):
        return True
    digits = sum(char.isdigit() for char in word)
    return digits == len(word) or (digits > 0 and re.fullmatch(r"[0-9a-f]{4,}", word) is not None) or digits > len(word) / 2


def _keys(found: Sequence[Found], stems: Sequence[tuple[str, ...]], dull: Mapping[str, frozenset[str]], ours: frozenset[str]) -> list[Key]:
    families: dict[tuple[str | None, str], set[tuple[str, ...]]] = defaultdict(set)
    for one, stem in zip(found, stems, strict=True):
        families[one.partner, stem[0]].add(stem)
    keys: list[Key] = []
    purposes: dict[tuple[str | None, str], set[Key]] = defaultdict(set)
    for one, stem in zip(found, stems, strict=True):
        tag = _tag(one, dull.get(one.partner or "", frozenset()) | ours)
        if tag:
            key: Key = (one.partner, "name", tag)
        elif one.track in _UNTAGGED:
            key = (one.partner, "track", _UNTAGGED[one.track])
        else:
            family = families[one.partner, stem[0]]
            key = (one.partner, "name", stem[:1] if len(family) <= _FAMILY else stem)
            if one.purpose:
                purposes[one.partner, one.purpose.casefold().strip()].add(key)
        keys.append(key)
    joined: dict[Key, Key] = {}
    for _, alike in sorted(purposes.items(), key=lambda item: (item[0][0] or "", item[0][1])):
        if len(alike) <= _PURPOSE_OF:
            ends = sorted({_end(joined, key) for key in alike}, key=lambda key: key[2])
            joined.update(dict.fromkeys(ends[1:], ends[0]))
    return [_end(joined, key) for key in keys]


def _end(joined: Mapping[Key, Key], key: Key) -> Key:
    while key in joined:
        key = joined[key]
    return key


def _tag(one: Found, dull: frozenset[str]) -> tuple[str, ...]:
    tags = {key.casefold(): value for key, value in one.tags.items()}
    said = next((tags[key] for key in _WORKLOAD_TAGS if tags.get(key)), "")
    return tuple(word for word in words(said[:200]) if word not in dull)


def _split(
    key: Key, members: list[int], stems: Sequence[tuple[str, ...]], owners: Sequence[str | None], environments: Sequence[str | None]
) -> Iterator[Group]:
    """Yield one group for each owner and environment; who has none of their own goes along where there is only one."""
    only_owner, only_environment = _only(owners, members), _only(environments, members)
    parts: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for position in members:
        parts[owners[position] or only_owner, environments[position] or only_environment].append(position)
    for (owner, environment), inside in sorted(parts.items(), key=lambda item: tuple(part or "" for part in item[0])):
        shared = _shared([stems[position] for position in inside])
        label = shared if shared[: len(key[2])] == key[2] else key[2]
        for start in range(0, len(inside), LARGEST):
            yield Group(key[0], label, owner, environment, tuple(inside[start : start + LARGEST]))


def _few(groups: Sequence[Group], found: Sequence[Found]) -> Iterator[Group]:
    """Put identities that are like no other together by their place, where there are too many of them for a person to go through."""
    lone: dict[tuple[str | None, str | None, str | None], list[Group]] = defaultdict(list)
    for group in groups:
        if len(group.members) == 1:
            lone[group.partner, group.owner, group.environment].append(group)
    rest = {key for key, alike in lone.items() if len(alike) > _LONE}
    for group in groups:
        if len(group.members) > 1 or (group.partner, group.owner, group.environment) not in rest:
            yield group
    for key in sorted(rest, key=lambda key: tuple(part or "" for part in key)):
        places: dict[tuple[str, str], list[int]] = defaultdict(list)
        for group in lone[key]:
            one = found[group.members[0]]
            places[one.provider, one.scope].append(group.members[0])
        for (provider, scope), inside in sorted(places.items()):
            for start in range(0, len(inside), LARGEST):
                yield Group(key[0], ("rest", provider, *words(scope)), key[1], key[2], tuple(inside[start : start + LARGEST]), is_rest=True)


def _only(said: Sequence[str | None], members: Iterable[int]) -> str | None:
    different = Counter(said[position] for position in members if said[position] is not None)
    return next(iter(different)) if len(different) == 1 else None


def _shared(stems: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the words that all begin with."""
    first, last = min(stems), max(stems)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]
