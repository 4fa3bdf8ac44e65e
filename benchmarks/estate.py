"""An estate of any size as arithmetic: every user follows from its number, so what must come out is known beforehand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
"""When the first night is judged; every age below is counted from here."""
DAY = timedelta(days=1)
WORKLOADS = 100
PARTNER_WORKLOADS = 5
"""The first so many workloads are partners', the others the customer's own."""
PARTNER_ACCOUNT = "111122223333"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
HARMLESS = "arn:aws:iam::aws:policy/ReadOnlyAccess"
ACCOUNTS = 100
"""Accounts that share the users of the largest sizes."""
ROLE_EVERY = 50
"""One role for so many users."""

# What is wrong with user n, by n % 100: 15 in 100 users, and with two keys each 5 in 100 of all rows.
_OLD, _IDLE, _NEVER, _TWO, _STRAY, _ADMIN, _NO_MFA = range(7)
_FAULT = {1: _OLD, 2: _OLD, 3: _OLD, 4: _OLD, 5: _IDLE, 6: _IDLE, 7: _NEVER, 8: _TWO, 11: _STRAY, 12: _STRAY, 13: _STRAY,
          14: _ADMIN, 15: _ADMIN, 50: _NO_MFA}  # fmt: skip
_FIRST_KEY: Mapping[int | None, tuple[int, int | None]] = {_OLD: (200, 1), _IDLE: (80, 60), _NEVER: (200, None), _TWO: (30, 1)}
"""Days since creation and since last use."""
_BREAKS: Mapping[int, tuple[str, ...]] = {
    _OLD: ("rotation-age",), _IDLE: ("inactive",), _NEVER: ("rotation-age", "inactive"), _TWO: ("overlap-too-long",),
    _STRAY: ("named-owner",), _ADMIN: ("over-privileged",), _NO_MFA: ("human-mfa",),
}  # fmt: skip


@cache
def ago(days: int) -> datetime:
    """Return the moment so many days before AS_OF."""
    return AS_OF - days * DAY


@dataclass(slots=True)
class Key:
    """One access key; ages in days before AS_OF."""

    id: str
    active: bool
    age: int
    used: int | None
    """None: never."""

    @property
    def created_at(self) -> datetime:
        """Return when it was made."""
        return ago(self.age)

    @property
    def used_at(self) -> datetime | None:
        """Return when it was last used."""
        return None if self.used is None else ago(self.used)


@dataclass(slots=True)
class User:
    """One user with two keys."""

    id: str
    name: str
    human: bool
    mfa: bool
    policy: str
    partner: bool
    """Whether a partner's workload names it."""
    keys: tuple[Key, Key]


@dataclass(frozen=True, slots=True)
class Role:
    """One role."""

    id: str
    name: str
    partner_trust: bool
    external_id: bool


def _id(prefix: str, n: int) -> str:
    """Make an id that looks like one: without order, so that it neither sorts nor packs better than a real one."""
    return f"{prefix}{n * 0x9E3779B97F4A7C15 % (1 << 64):017X}"


def users(first: int, count: int) -> Iterator[User]:
    """Yield the users numbered from `first`."""
    for n in range(first, first + count):
        fault = _FAULT.get(n % 100)
        human = n % 10 == 0
        workload = n // 100 % WORKLOADS
        name = f"person-{n}" if human else f"stray-{n}" if fault == _STRAY else f"w{workload:02d}-{n}"
        age, used = _FIRST_KEY.get(fault, (20, 1))
        two = fault == _TWO
        second = Key(_id("AKIB", n), two, 20 if two else 300, 1 if two else 100)
        yield User(
            _id("AIDA", n), name, human, fault != _NO_MFA, ADMIN if fault == _ADMIN else HARMLESS,
            not human and fault != _STRAY and workload < PARTNER_WORKLOADS, (Key(_id("AKIA", n), active=True, age=age, used=used), second),
        )  # fmt: skip


def roles(first: int, count: int) -> Iterator[Role]:
    """Yield the roles that go with `count` users from `first`: every tenth trusts a partner, half of those without a condition."""
    for n in range(first // ROLE_EVERY, (first + count) // ROLE_EVERY):
        yield Role(_id("AROA", n), f"w{WORKLOADS - 1 - n % 50}-role-{n}", n % 10 == 0, n % 20 == 0)


def expected(count: int) -> Counter[str]:
    """Count the findings by control that `count` users (a multiple of 100) must come to, first user 0."""
    found: Counter[str] = Counter()
    for fault in _FAULT.values():
        for control in _BREAKS[fault]:
            found[control] += count // 100
    trusted = [role for role in roles(0, count) if role.partner_trust]
    # each is registered as the customer's own, or as another partner's than whom it trusts
    return found + Counter({"unconditioned-trust": sum(not role.external_id for role in trusted), "attribution-conflict": len(trusted)})


def ruled_by_a_partner(count: int, accounts: int) -> int:
    """Count the accounts, of so many that share the users evenly, whose every administrator is a partner's."""
    each = count // accounts
    sides = ({user.partner for user in users(n * each, each) if user.policy == ADMIN} for n in range(accounts))
    return sum(side == {True} for side in sides)


def worth_a_call(count: int) -> int:
    """Count the users whose keys must be listed one by one: a key that fails, two active keys, or a partner behind them."""
    asked = (_OLD, _IDLE, _NEVER, _TWO)
    return sum(user.partner or _FAULT.get(n % 100) in asked for n, user in enumerate(users(0, count)))
