"""Why a tool and Countersign differ on a row: each difference has one cause, found from the row's own cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from oracle_ours import GRACE, Judged, Verdict, access_key, has_key, has_twin, identity, password
from oracle_report import DAY, NOW, WRITTEN
from oracle_rules import Rule, Said, is_root, key, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta

    from oracle_rules import Cells

AGREED: frozenset[tuple[Said, Verdict]] = frozenset({
    ("fail", "fail"), ("pass", "pass"), ("silent", "pass"), ("silent", "not judged"),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """A credential of a row."""

    kind: Literal["password", "key"]
    live: bool | None
    """None: the report does not say."""
    made: datetime | None
    """When it was made, or last changed."""
    used: datetime | None
    """None: never."""
    mixed_up: bool = False
    """Of two made in one second, both live or both not, with different uses."""

    def since(self) -> datetime | None:
        """Say from when it is idle to us."""
        known = [at for at in (self.made, None if self.mixed_up else self.used) if at is not None]
        return None if self.made is None and (self.used is None or self.mixed_up) else max(known)


@dataclass(frozen=True, slots=True)
class Case:
    """One rule on one row, side by side."""

    rule: Rule
    cells: Cells
    they: Said
    we: Verdict
    held: Held | None
    """The credential that decides; None: no single one does."""

    @property
    def pair(self) -> tuple[Said, Verdict]:
        return self.they, self.we

    @property
    def by_use(self) -> bool:
        return self.rule.control == "inactive"

    @property
    def unread(self) -> bool:
        return is_root(self.cells) and not self.rule.reads_root

    @property
    def not_used_for(self) -> timedelta | None:
        """Say how long it was not used by the report's last-used date alone; None: never used, or nothing decides."""
        return NOW - self.held.used if self.held is not None and self.held.used is not None else None

    @property
    def changed_since(self) -> bool:
        held = self.held
        return held is not None and held.made is not None and held.used is not None and held.made > held.used

    @property
    def perhaps_used_since(self) -> bool:
        since = None if self.held is None or self.held.mixed_up else self.held.since()
        return since is not None and WRITTEN - since <= self.rule.limit + GRACE < NOW - since


def _they_see_a_live_use(case: Case) -> bool:
    uses = (NOW - held.used for held in held_by(case.cells) if held.live and held.used is not None)
    return any(0 * DAY <= use < case.rule.limit for use in uses)


CLASSES: dict[str, Callable[[Case], bool]] = {
    # time
    "whole-days": lambda c: c.pair == ("pass", "fail") and (
        c.rule.name == "iam_rotate_access_key_90_days" or (c.by_use and c.not_used_for is not None)
    ),
    "limit-reached": lambda c: c.by_use and c.pair == ("fail", "pass") and c.not_used_for == c.rule.limit and not c.changed_since,
    "grace": lambda c: c.by_use and c.pair == ("fail", "pass") and not c.changed_since
    and c.not_used_for is not None and c.rule.limit < c.not_used_for <= c.rule.limit + GRACE,
    "report-age": lambda c: c.by_use and c.we == "unknown" and c.perhaps_used_since and not c.unread and _decides(c) and not _is_not_said(c),
    "ahead-of-the-clock": lambda c: c.by_use and c.pair == ("fail", "pass") and c.not_used_for is not None and c.not_used_for < 0 * DAY,
    # use
    "never-used-passes": lambda c: c.by_use and c.they != "fail" and c.we == "fail" and not c.unread
    and c.rule.about != "user" and c.not_used_for is None,
    "never-used-fails-at-once": lambda c: c.by_use and c.pair == ("fail", "pass") and c.not_used_for is None,
    "changed-since-its-use": lambda c: c.by_use and c.pair == ("fail", "pass") and c.changed_since,
    # what counts
    "nothing-to-judge": lambda c: c.pair == ("pass", "not judged") and c.rule.control is not None,
    "disabled-key-is-old": lambda c: c.rule.control == "rotation-age" and c.rule.about == "key" and c.pair == ("fail", "not judged"),
    "disabled-credential-was-used": lambda c: c.by_use and c.rule.about == "user" and c.they == "silent" and c.we in ("fail", "unknown")
    and not c.unread and not _they_see_a_live_use(c),
    "only-disabled-credentials": lambda c: c.by_use and c.pair == ("fail", "not judged"),
    "two-filters-two-keys": lambda c: c.rule.control == "rotation-age" and c.rule.about == "user" and c.they == "fail" and c.we != "fail",
    "rotation-window": lambda c: c.rule.about == "pair" and c.pair == ("fail", "pass"),
    # what is not said
    "keys-of-one-second": lambda c: c.by_use and c.we == "unknown" and c.held is not None and c.held.mixed_up and c.held.made is not None
    and not c.unread and _decides(c),
    "not-said": lambda c: c.we == "unknown" and not c.unread and _decides(c) and _is_not_said(c),
    # root
    "root-not-read": lambda c: c.unread and c.we in ("fail", "unknown"),
    "root-password-not-said": lambda c: c.rule.about == "mfa" and is_root(c.cells) and c.pair == ("silent", "fail")
    and c.cells["password_enabled"] == "not_supported",
    "root-without-a-console": lambda c: c.rule.about == "mfa" and is_root(c.cells) and c.pair == ("fail", "not judged"),
    "root-key-at-all": lambda c: c.rule.about == "root keys" and c.they == "fail" and c.we in ("pass", "unknown"),
    "root-use-at-all": lambda c: c.rule.about == "use",
}  # fmt: skip
"""Every difference belongs to exactly one of these, and docs/differential.md explains each."""


def differences(rows: Iterable[Cells], rules: Iterable[Rule], ours: Judged) -> Iterator[tuple[Case, list[str]]]:
    """Yield each difference with the classes that it belongs to: one, unless something is not understood."""
    listed = tuple(rows)
    for rule in rules:
        for cells in listed:
            for case in cases(rule, cells, ours):
                if case.pair not in AGREED or rule.control is None:
                    yield case, [name for name, holds in CLASSES.items() if holds(case)]


def cases(rule: Rule, cells: Cells, ours: Judged) -> Iterator[Case]:
    """Put both verdicts on a row side by side, for each key where the rule is about keys."""
    if not rule.asks(cells):
        return
    if rule.about == "key":
        for slot in (1, 2):
            we = ours.of(rule.control or "", access_key(cells, slot)) if has_key(cells, slot) else "not judged"
            yield Case(rule, cells, rule.says(cells, slot), we, held_in(cells, slot))
        return
    they = rule.says(cells, 0)
    if rule.about == "password":
        yield Case(rule, cells, they, ours.of("inactive", password(cells)), _password(cells))
    elif rule.about == "mfa":
        yield Case(rule, cells, they, ours.of("human-mfa", identity(cells)), None)
    elif rule.about == "use":
        yield Case(rule, cells, they, "not judged", None)
    elif rule.control == "inactive":
        yield _whole_user(rule, cells, they, ours)
    else:
        controls = ("rotation-age", "inactive", "overlap-too-long") if rule.about == "root keys" else (rule.control or "",)
        keys = [ours.of(control, access_key(cells, slot)) for control in controls for slot in (1, 2) if has_key(cells, slot)]
        yield Case(rule, cells, they, _first(("fail", "unknown", "pass"), keys), None)


def _whole_user(rule: Rule, cells: Cells, they: Said, ours: Judged) -> Case:
    """A user is unused to us when each of its credentials is; the one used last decides."""
    names = {**{slot: access_key(cells, slot) for slot in (1, 2) if has_key(cells, slot)}, 0: password(cells)}
    held = {0: _password(cells), 1: held_in(cells, 1), 2: held_in(cells, 2)}
    said = {slot: ours.of("inactive", name) for slot, name in names.items() if held[slot] is not None}
    if not said:
        return Case(rule, cells, they, ours.of("inactive", identity(cells)), None)
    we = _first(("pass", "unknown", "fail"), said.values())
    deciding = [one for slot in said if said[slot] == we and (one := held[slot]) is not None]
    newest = max(deciding, key=lambda one: one.since() or NOW, default=None)
    return Case(rule, cells, they, we, newest if we in ("pass", "unknown") else None)


def held_by(cells: Cells) -> list[Held]:
    return [held for held in (_password(cells), held_in(cells, 1), held_in(cells, 2)) if held is not None]


def held_in(cells: Cells, slot: int) -> Held | None:
    if not has_key(cells, slot):
        return None
    live, other = (key(cells, one, "active") == "true" for one in (slot, 3 - slot))
    uses = {key(cells, one, "last_used_date") for one in (1, 2)}
    made, used = when(key(cells, slot, "last_rotated")), when(key(cells, slot, "last_used_date"))
    return Held("key", live, made, used, has_twin(cells) and live == other and len(uses) > 1)


def _password(cells: Cells) -> Held | None:
    enabled = {"true": True, "false": False}.get(cells["password_enabled"])
    if enabled is False:
        return None
    return Held("password", enabled, when(cells["password_last_changed"]), when(cells["password_last_used"]))


def _decides(case: Case) -> bool:
    """Whether our not knowing makes the difference: a whole user is silently in use to them by what we do not count at all, too."""
    return not (case.rule.about == "user" and case.by_use and case.they == "silent") or _they_see_a_live_use(case)


def _is_not_said(case: Case) -> bool:
    """Whether a cell that the control needs has no value."""
    if case.rule.about == "root keys" or (case.rule.about == "user" and case.rule.control == "rotation-age" and case.they == "fail"):
        return False
    if case.rule.about == "mfa":
        return case.cells["mfa_active"] not in ("true", "false")
    if not case.by_use:
        return any(held.kind == "key" and held.live and held.made is None for held in held_by(case.cells))
    held = case.held
    # nobody says when a root's password was set: it may have been after its last use
    return held is None or held.live is None or held.since() is None or (held.kind == "password" and held.made is None)


def _first(order: tuple[Verdict, ...], said: Iterable[Verdict]) -> Verdict:
    there = set(said)
    return next((verdict for verdict in order if verdict in there), "not judged")
