"""What Prowler, Cloud Custodian and AirIAM say of a row of the credential report: their published rules, restated from their sources."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from oracle_report import DAY, NOW, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Cells = Mapping[str, str]

Said = Literal["fail", "pass", "silent"]
"""`silent`: the tool lists only what it objects to, or makes no finding for this row."""
About = Literal["key", "password", "user", "mfa", "pair", "root keys", "use"]
_NOTHING = frozenset({"N/A", "no_information", "not_supported", ""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One published rule beside the control of ours that asks the same."""

    tool: Literal["Prowler", "Cloud Custodian", "AirIAM"]
    name: str
    """As the page of the differences lists it."""
    control: str | None
    """Our control; None: no control of ours asks this."""
    about: About
    """What is compared: a key by its slot, the password, the whole user, ..."""
    says: Callable[[Cells, int], Said]
    """From the row and the slot (0 where it is no key)."""
    limit: timedelta = 0 * DAY
    asks: Callable[[Cells], bool] = lambda _cells: True
    """The rows that the rule is compared on."""
    reads_root: bool = True
    """Whether the tool looks at the root user at all."""


def when(cell: str) -> datetime | None:
    """Read a time of the report; None where a word stands for one."""
    return None if cell in _NOTHING else datetime.fromisoformat(cell)


def is_root(cells: Cells) -> bool:
    return cells["user"] == ROOT


def key(cells: Cells, slot: int, what: str) -> str:
    return cells[f"access_key_{slot}_{what}"]


def _is_user(cells: Cells) -> bool:
    return not is_root(cells)


def _whole_days(cell: str) -> int | None:
    at = when(cell)
    return None if at is None else (NOW - at) // DAY


def _active(cells: Cells) -> list[int]:
    return [slot for slot in (1, 2) if key(cells, slot, "active") == "true"]


# Prowler makes a finding for every user, a pass where there is nothing to judge too. An age is cut to whole days, which must exceed the
# limit; N/A and no_information are passed over.


def _prowler_days(cells: Cells, slot: int, what: str, limit: int) -> Said:
    days = _whole_days(key(cells, slot, what)) if slot in _active(cells) else None
    return "fail" if days is not None and days > limit else "pass"


def _prowler_console(cells: Cells, _slot: int) -> Said:
    if is_root(cells):
        return "silent"
    days = _whole_days(cells["password_last_used"]) if cells["password_enabled"] == "true" else None
    return "fail" if days is not None and days > 45 else "pass"


def _prowler_mfa(cells: Cells, _slot: int) -> Said:
    return "fail" if cells["password_enabled"] == "true" and cells["mfa_active"] == "false" else "pass"


def _prowler_two_keys(cells: Cells, _slot: int) -> Said:
    return "fail" if len(_active(cells)) == 2 else "pass"


def _prowler_root_mfa(cells: Cells, _slot: int) -> Said:
    if cells["password_enabled"] != "true" and not _active(cells):
        return "silent"
    return "fail" if cells["mfa_active"] == "false" else "pass"


def _prowler_root_key(cells: Cells, _slot: int) -> Said:
    if _active(cells):
        return "fail"
    return "pass" if cells["password_enabled"] == "true" else "silent"


def _prowler_root_use(cells: Cells, _slot: int) -> Said:
    # The first of the three that has a date decides, also where a later one is more recent.
    uses = (_whole_days(cell) for cell in (cells["password_last_used"], key(cells, 1, "last_used_date"), key(cells, 2, "last_used_date")))
    days = next((days for days in uses if days is not None), None)
    return "fail" if days is not None and days <= 1 else "pass"


# Cloud Custodian lists what its filters match. An age is compared to the microsecond; a missing date matches no age. Each filter on
# access_keys.* asks whether any key of the user matches, also a disabled one; the keys that all filters matched are marked.


def _older(cell: str, limit: timedelta) -> bool:
    at = when(cell)
    return at is not None and NOW - limit > at


def _custodian_old_key(cells: Cells, slot: int) -> Said:
    return "fail" if not is_root(cells) and _older(key(cells, slot, "last_rotated"), 90 * DAY) else "silent"


def _custodian_old_and_active(cells: Cells, _slot: int) -> Said:
    old = [slot for slot in (1, 2) if _older(key(cells, slot, "last_rotated"), 90 * DAY)]
    return "fail" if old and _active(cells) else "silent"


def _custodian_marked(what: str, limit: timedelta) -> Callable[[Cells, int], Said]:
    def says(cells: Cells, slot: int) -> Said:
        return "fail" if slot in _active(cells) and _older(key(cells, slot, what), limit) else "silent"

    return says


def _custodian_console(cells: Cells, _slot: int) -> Said:
    return "fail" if _older(cells["password_last_used"], 45 * DAY) else "silent"


def _custodian_mfa(cells: Cells, _slot: int) -> Said:
    return "fail" if cells["password_enabled"] == "true" and cells["mfa_active"] == "false" else "silent"


# AirIAM lists what it calls unused, of users only. Ages are whole days that must reach the limit; N/A and no_information are -1 days,
# and anything below 0 is unused.


def _airiam_days(cell: str) -> int:
    days = _whole_days(cell)
    return -1 if days is None else days


def _airiam_unused(cell: str) -> bool:
    return not 0 <= _airiam_days(cell) < 90


def _airiam_key(cells: Cells, slot: int) -> Said:
    unused = not is_root(cells) and slot in _active(cells) and _airiam_unused(key(cells, slot, "last_used_date"))
    return "fail" if unused else "silent"


def _airiam_console(cells: Cells, _slot: int) -> Said:
    unused = not is_root(cells) and cells["password_enabled"] == "true" and _airiam_unused(cells["password_last_used"])
    return "fail" if unused else "silent"


def _airiam_user(cells: Cells, _slot: int) -> Said:
    # Whatever the user has or had counts, disabled or not.
    uses = (cells["password_last_used"], key(cells, 1, "last_used_date"), key(cells, 2, "last_used_date"))
    return "fail" if not is_root(cells) and all(_airiam_unused(cell) for cell in uses) else "silent"


RULES = (
    Rule(
        tool="Prowler", name="iam_rotate_access_key_90_days", control="rotation-age", about="key", limit=90 * DAY,
        says=lambda cells, slot: _prowler_days(cells, slot, "last_rotated", 90),
    ),
    Rule(
        tool="Prowler", name="iam_user_accesskey_unused", control="inactive", about="key", limit=45 * DAY,
        says=lambda cells, slot: _prowler_days(cells, slot, "last_used_date", 45),
    ),
    Rule(
        tool="Prowler", name="iam_user_console_access_unused", control="inactive", about="password", limit=45 * DAY,
        says=_prowler_console, reads_root=False,
    ),
    Rule(
        tool="Prowler", name="iam_user_mfa_enabled_console_access", control="human-mfa", about="mfa", says=_prowler_mfa, asks=_is_user,
    ),
    Rule(tool="Prowler", name="iam_user_two_active_access_key", control="overlap-too-long", about="pair", says=_prowler_two_keys),
    Rule(tool="Prowler", name="iam_root_mfa_enabled", control="human-mfa", about="mfa", says=_prowler_root_mfa, asks=is_root),
    Rule(tool="Prowler", name="iam_no_root_access_key", control="rotation-age", about="root keys", says=_prowler_root_key, asks=is_root),
    Rule(tool="Prowler", name="iam_avoid_root_usage", control=None, about="use", says=_prowler_root_use, asks=is_root),
    Rule(
        tool="Cloud Custodian", name="iam-access-key: CreateDate", control="rotation-age", about="key", limit=90 * DAY,
        says=_custodian_old_key, reads_root=False,
    ),
    Rule(
        tool="Cloud Custodian", name="credential: active, last_rotated (keys)", control="rotation-age", about="key", limit=90 * DAY,
        says=_custodian_marked("last_rotated", 90 * DAY),
    ),
    Rule(
        tool="Cloud Custodian", name="credential: active, last_rotated (users)", control="rotation-age", about="user", limit=90 * DAY,
        says=_custodian_old_and_active,
    ),
    Rule(
        tool="Cloud Custodian", name="credential: active, last_used_date (keys)", control="inactive", about="key", limit=45 * DAY,
        says=_custodian_marked("last_used_date", 45 * DAY),
    ),
    Rule(
        tool="Cloud Custodian", name="credential: password_last_used", control="inactive", about="password", limit=45 * DAY,
        says=_custodian_console,
    ),
    Rule(
        tool="Cloud Custodian", name="credential: password_enabled, mfa_active", control="human-mfa", about="mfa", says=_custodian_mfa,
    ),
    Rule(
        tool="AirIAM", name="find_unused: access keys", control="inactive", about="key", limit=90 * DAY, says=_airiam_key, reads_root=False,
    ),
    Rule(
        tool="AirIAM", name="find_unused: console logins", control="inactive", about="password", limit=90 * DAY, says=_airiam_console,
        reads_root=False,
    ),
    Rule(tool="AirIAM", name="find_unused: users", control="inactive", about="user", limit=90 * DAY, says=_airiam_user, reads_root=False),
)  # fmt: skip
