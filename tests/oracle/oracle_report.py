"""Credential reports as AWS writes them: one row per trap that a tool can fall into, and random rows."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
WRITTEN = NOW - 4 * HOUR
"""AWS writes a new report at most every four hours."""
ACCOUNT, SKEWED = "444455556666", "444455557777"
ROOT = "<root_account>"
COLUMNS = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation"),
    "mfa_active",
    *(
        f"access_key_{slot}_{what}"
        for slot in (1, 2)
        for what in ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    ),
    *(f"cert_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated")),
)
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Key:
    """An access key of a row, by ages; `made` None: the report has no date; `used` None: never."""

    made: timedelta | None
    used: timedelta | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Password:
    """A password of a row, by ages; `used` may be one of the report's words."""

    changed: timedelta
    used: timedelta | str = "no_information"


def row(
    user: str,
    *keys: Key | None,
    password: Password | None = None,
    mfa: str = "false",
    made: timedelta = 700 * DAY,
    account: str = ACCOUNT,
) -> Row:
    """Write one row as AWS does; the keys by slot, None: the slot is empty."""
    arn = f"arn:aws:iam::{account}:" + ("root" if user == ROOT else f"user/{user}")
    cell = dict.fromkeys(COLUMNS, "N/A") | {"user": user, "arn": arn, "user_creation_time": _ago(made), "mfa_active": mfa}
    cell |= {"password_enabled": "false", "cert_1_active": "false", "cert_2_active": "false"}
    if password is not None:
        used = password.used if isinstance(password.used, str) else _ago(password.used)
        cell |= {"password_enabled": "true", "password_last_used": used, "password_last_changed": _ago(password.changed)}
    for slot, key in zip((1, 2), (*keys, None, None), strict=False):
        cell[f"access_key_{slot}_active"] = str(key is not None and key.active).lower()
        if key is not None:
            cell[f"access_key_{slot}_last_rotated"] = _ago(key.made)
            cell[f"access_key_{slot}_last_used_date"] = _ago(key.used)
    return cell


def _ago(age: timedelta | None) -> str:
    return "N/A" if age is None else (NOW - age).isoformat()


def text(rows: Iterable[Mapping[str, str]]) -> str:
    """Write a report."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


NEW, OLD, USED = 10 * DAY, 200 * DAY, 2 * DAY
_NOT_SUPPORTED = {"password_enabled": "not_supported", "password_last_changed": "not_supported", "password_next_rotation": "not_supported"}
_USERS = (
    # the age of a key: the limit is 90 days
    row("rotated-today", Key(5 * HOUR)),
    row("aged-90-days", Key(90 * DAY, USED)),
    row("aged-90-days-and-a-second", Key(90 * DAY + SECOND, USED)),
    row("aged-91-days", Key(91 * DAY, USED)),
    row("key-older-than-its-user", Key(OLD, USED), made=NEW),
    row("key-without-a-date", Key(None, USED)),
    row("old-but-disabled", Key(OLD, USED, active=False)),
    row("old-disabled-and-new-active", Key(OLD, USED, active=False), Key(NEW, USED)),
    row("old-disabled-and-undated-active", Key(OLD, USED, active=False), Key(None, USED)),
    # the use of a key: the limits are 45 and 90 days
    row("idle-45-days-and-ten-minutes", Key(OLD, 45 * DAY + 10 * MINUTE)),
    row("idle-45-days-and-two-hours", Key(OLD, 45 * DAY + 2 * HOUR)),
    row("idle-45-days-and-five-hours", Key(OLD, 45 * DAY + 5 * HOUR)),
    row("idle-46-days", Key(OLD, 46 * DAY)),
    row("idle-90-days", Key(OLD, 90 * DAY)),
    row("idle-90-days-and-ten-minutes", Key(OLD, 90 * DAY + 10 * MINUTE)),
    row("idle-90-days-and-two-hours", Key(OLD, 90 * DAY + 2 * HOUR)),
    row("idle-100-days", Key(OLD, 100 * DAY)),
    row("never-used-and-new", Key(NEW)),
    row("never-used-and-old", Key(OLD)),
    row("never-used-without-a-date", Key(None)),
    row("used-before-it-was-changed", Key(NEW, 100 * DAY)),
    row("used-ahead-of-the-clock", Key(OLD, -5 * SECOND), account=SKEWED),
    # two keys
    row("two-keys-of-one-second", Key(OLD, USED), Key(OLD, 120 * DAY)),
    row("two-keys-of-one-second-used-alike", Key(OLD, USED), Key(OLD, USED)),
    row("two-keys-of-one-second-one-disabled", Key(OLD, 120 * DAY), Key(OLD, USED, active=False)),
    row("two-keys-amid-a-rotation", Key(60 * DAY, USED), Key(3 * DAY, USED)),
    row("two-keys-for-good", Key(80 * DAY, USED), Key(60 * DAY, USED)),
    row("two-keys-one-undated", Key(80 * DAY, USED), Key(None, USED)),
    row("only-disabled-keys", Key(OLD, 120 * DAY, active=False), Key(OLD, None, active=False)),
    row("disabled-key-was-used-lately", Key(OLD, USED, active=False), Key(OLD, 120 * DAY)),
    # passwords and second factors
    row("password-used", password=Password(OLD, USED), mfa="true"),
    row("password-never-used-and-old", password=Password(OLD), mfa="true"),
    row("password-never-used-and-new", password=Password(NEW), mfa="true"),
    row("password-use-not-applicable", password=Password(OLD, "N/A"), mfa="true"),
    row("password-idle", password=Password(OLD, 120 * DAY), mfa="true"),
    row("password-changed-since-its-use", password=Password(NEW, 120 * DAY), mfa="true"),
    row("password-without-mfa", password=Password(OLD, USED)),
    row("mfa-left-blank", password=Password(OLD, USED), mfa=""),
    row("no-mfa-and-no-password", Key(NEW, USED)),
    row("no-credential-and-new", made=NEW),
    row("no-credential-and-old"),
)
_number = count(1)


def _root(*keys: Key | None, mfa: str = "false", **cells: str) -> Row:
    """Write the row of a root user, each in an account of its own."""
    return row(ROOT, *keys, mfa=mfa, account=f"99990000{next(_number):04d}") | cells


TRAPS: dict[str, Row] = {one["user"]: one for one in _USERS} | {
    "root-with-nothing-said": _root(**_NOT_SUPPORTED, password_last_used="no_information"),
    "root-with-mfa": _root(mfa="true", **_NOT_SUPPORTED, password_last_used=_ago(400 * DAY)),
    "root-without-a-password": _root(password_last_used="no_information"),
    "root-with-a-password": _root(password_enabled="true", password_last_used="no_information"),
    "root-used-yesterday": _root(mfa="true", **_NOT_SUPPORTED, password_last_used=_ago(30 * HOUR)),
    "root-with-a-new-key": _root(Key(NEW, USED), mfa="true", password_enabled="true", password_last_used=_ago(5 * DAY)),
    "root-with-a-key-and-no-password": _root(Key(NEW, USED), password_last_used="no_information"),
    "root-with-an-old-key": _root(Key(OLD, 120 * DAY), mfa="true", **_NOT_SUPPORTED, password_last_used="no_information"),
}
"""By the name that the page of the differences calls the row."""

_SECONDS = st.integers(4 * 3600, 400 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
_EDGES = st.builds(
    lambda limit, past: limit + past,
    st.sampled_from([7 * DAY, 45 * DAY, 90 * DAY]),
    st.sampled_from([-SECOND, 0 * SECOND, SECOND, 15 * MINUTE, 15 * MINUTE + SECOND, 4 * HOUR, 4 * HOUR + 15 * MINUTE, DAY - SECOND, DAY]),
)
_AGES = _SECONDS | _EDGES
_KEYS = st.builds(Key, st.none() | _AGES | _AGES | _AGES, st.none() | _AGES | _AGES, active=st.sampled_from([True, True, False])).filter(
    lambda key: key.active or key.made is not None  # else the slot is empty
)
_PASSWORDS = st.builds(Password, _AGES, _AGES | st.sampled_from(["no_information", "N/A"]))
_MAYBE_KEY = st.none() | _KEYS | _KEYS


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """Draw the rows of one account, its root user among them."""
    drawn = [
        row(
            f"u{number}", draw(_MAYBE_KEY), draw(_MAYBE_KEY), password=draw(st.none() | _PASSWORDS),
            mfa=draw(st.sampled_from(["true", "false", "false", ""])), made=draw(_AGES),
        ) for number in range(draw(st.integers(10, 40)))
    ]  # fmt: skip
    said = draw(st.sampled_from([_NOT_SUPPORTED, {}, {"password_enabled": "true"}]))
    used = draw(st.just("no_information") | _AGES.map(_ago))
    root = row(ROOT, draw(_MAYBE_KEY), draw(_MAYBE_KEY), mfa=draw(st.sampled_from(["true", "false"])))
    drawn.append(root | said | {"password_last_used": used})
    return drawn
