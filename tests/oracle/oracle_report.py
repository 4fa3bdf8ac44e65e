"""Credential reports as AWS writes them: one row per trap that a tool can fall into, and random rows."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    first: Key | None = None,
    second: Key | None = None,
    *,
    password: Password | None = None,
    mfa: str = "false",
    made: timedelta = 700 * DAY,
    account: str = ACCOUNT,
    **cells: str,
) -> Row:
    """Write one row as AWS does."""
    arn = f"arn:aws:iam::{account}:" + ("root" if user == ROOT else f"user/{user}")
    cell = dict.fromkeys(COLUMNS, "N/A") | {"user": user, "arn": arn, "user_creation_time": _ago(made), "mfa_active": mfa}
    cell |= {"password_enabled": "false", "cert_1_active": "false", "cert_2_active": "false"}
    if password is not None:
        used = password.used if isinstance(password.used, str) else _ago(password.used)
        cell |= {"password_enabled": "true", "password_last_used": used, "password_last_changed": _ago(password.changed)}
    for slot, key in enumerate((first, second), 1):
        cell[f"access_key_{slot}_active"] = str(key is not None and key.active).lower()
        if key is not None:
            cell[f"access_key_{slot}_last_rotated"] = _ago(key.made)
            cell[f"access_key_{slot}_last_used_date"] = _ago(key.used)
    return cell | cells


def text(rows: Iterable[Mapping[str, str]]) -> str:
    """Write a report."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


ROOT_CELLS = {"password_enabled": "not_supported", "password_last_changed": "not_supported", "password_next_rotation": "not_supported"}
NEW, OLD, USED = 10 * DAY, 200 * DAY, 2 * DAY
TRAPS: tuple[Row, ...] = (
    # age of a key, limit 90 days
    row("rotated-today", Key(5 * HOUR, None)),
    row("aged-90-days", Key(90 * DAY, USED)),
    row("aged-90-days-and-a-second", Key(90 * DAY + SECOND, USED)),
    row("aged-91-days", Key(91 * DAY, USED)),
    row("key-older-than-its-user", Key(OLD, USED), made=NEW),
    row("no-date", Key(None, USED)),
    row("old-but-disabled", Key(OLD, USED, active=False)),
    row("old-disabled-new-active", Key(OLD, USED, active=False), Key(NEW, USED)),
    row("undated-beside-old-disabled", Key(OLD, USED, active=False), Key(None, USED)),
    # use of a key, limits 45 and 90 days
    row("idle-45-days-and-ten-minutes", Key(OLD, 45 * DAY + 10 * MINUTE)),
    row("idle-45-days-and-two-hours", Key(OLD, 45 * DAY + 2 * HOUR)),
    row("idle-45-days-and-five-hours", Key(OLD, 45 * DAY + 5 * HOUR)),
    row("idle-46-days", Key(OLD, 46 * DAY)),
    row("idle-90-days", Key(OLD, 90 * DAY)),
    row("idle-90-days-and-ten-minutes", Key(OLD, 90 * DAY + 10 * MINUTE)),
    row("idle-90-days-and-two-hours", Key(OLD, 90 * DAY + 2 * HOUR)),
    row("idle-100-days", Key(OLD, 100 * DAY)),
    row("never-used-new", Key(NEW)),
    row("never-used-old", Key(OLD)),
    row("never-used-no-date", Key(None)),
    row("used-before-rotated", Key(NEW, 100 * DAY)),
    row("used-ahead-of-the-clock", Key(OLD, -5 * SECOND), account=SKEWED),
    # two keys
    row("two-keys-same-second", Key(OLD, USED), Key(OLD, 120 * DAY)),
    row("two-keys-same-second-alike", Key(OLD, USED), Key(OLD, USED)),
    row("two-keys-same-second-one-disabled", Key(OLD, 120 * DAY), Key(OLD, USED, active=False)),
    row("two-keys-mid-rotation", Key(60 * DAY, USED), Key(3 * DAY, USED)),
    row("two-keys-for-good", Key(80 * DAY, USED), Key(60 * DAY, USED)),
    row("two-keys-one-undated", Key(80 * DAY, USED), Key(None, USED)),
    row("only-disabled-keys", Key(OLD, 120 * DAY, active=False), Key(OLD, None, active=False)),
    row("disabled-key-was-used-lately", Key(OLD, USED, active=False), Key(OLD, 120 * DAY)),
    # passwords and MFA
    row("password-used", password=Password(OLD, USED), mfa="true"),
    row("password-never-used-old", password=Password(OLD), mfa="true"),
    row("password-never-used-new", password=Password(NEW), mfa="true"),
    row("password-not-applicable", password=Password(OLD, "N/A"), mfa="true"),
    row("password-idle", password=Password(OLD, 120 * DAY), mfa="true"),
    row("password-changed-since", password=Password(NEW, 120 * DAY), mfa="true"),
    row("password-without-mfa", password=Password(OLD, USED)),
    row("mfa-not-said", password=Password(OLD, USED), mfa=""),
    row("no-mfa-and-no-password", Key(NEW, USED)),
    row("nothing-at-all-new", made=NEW),
    row("nothing-at-all-old"),
)
ROOTS: tuple[Row, ...] = tuple(
    row(ROOT, *keys, mfa=mfa, account=f"44445555{number:04d}", **cells)
    for number, (keys, mfa, cells) in enumerate((
        ((), "false", ROOT_CELLS),
        ((), "true", ROOT_CELLS | {"password_last_used": "no_information"}),
        ((), "false", {"password_last_used": "no_information"}),
        ((Key(NEW, USED),), "false", {"password_last_used": "no_information"}),
        ((Key(OLD, 120 * DAY),), "true", ROOT_CELLS | {"password_last_used": _at})
        for _at in ("no_information",)
    ), 1)
)
