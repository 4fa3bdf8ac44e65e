"""The IAM credential report, read row by row and tolerant of everything AWS writes into its cells."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.clock import instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from countersign.identity import UseState

ROOT = "<root_account>"
"""What the report calls the root user."""
_NEVER = frozenset({"N/A", "no_information"})


@dataclass(frozen=True, slots=True)
class Use:
    """When something was last used, as far as the source says."""

    at: datetime | None
    """UTC; None unless the state is `known`."""
    state: UseState


NEVER_USED = Use(None, "never")
USE_UNKNOWN = Use(None, "unknown")


@dataclass(frozen=True, slots=True)
class ReportKey:
    """One access key as the report shows it: without its id."""

    slot: int
    """1 or 2: a column of the report, neither an identity nor an order of creation."""
    active: bool | None
    """None: the cell holds neither true nor false."""
    created_at: datetime | None
    """`last_rotated`: creation, or the last change; to the second. None: the report gives no date."""
    use: Use


@dataclass(frozen=True, slots=True)
class ReportCertificate:
    """One signing certificate as the report shows it: without its id."""

    slot: int
    """1 or 2: a column of the report."""
    active: bool | None
    """None: the cell holds neither true nor false."""
    uploaded_at: datetime | None
    """`last_rotated`, to the second; None: the report gives no date."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One user of the report; None in a field: the report does not say."""

    user: str
    arn: str
    created_at: datetime | None
    password_enabled: bool | None
    password_changed_at: datetime | None
    password_use: Use
    mfa: bool | None
    keys: tuple[ReportKey, ...]
    """Slots that hold a key; an inactive slot without a date holds none."""
    certificates: tuple[ReportCertificate, ...] = ()
    """Slots that hold a signing certificate, by the same rule."""

    @property
    def told_at(self) -> datetime | None:
        """The newest time in the row: the report cannot be older than that. None: the row has no time."""
        keys = (when for key in self.keys for when in (key.created_at, key.use.at))
        times = (self.created_at, self.password_changed_at, self.password_use.at, *keys)
        return max((when for when in times if when is not None), default=None)

    @property
    def account(self) -> str:
        """The account number inside the ARN; empty when the ARN has none."""
        parts = self.arn.split(":", 5)
        return parts[4] if len(parts) > 4 else ""  # noqa: PLR2004 -- arn:partition:service:region:account:resource


def report_table(content: str | Iterable[str]) -> Iterator[dict[str, str]]:
    """Split the report (whole, or its lines) into cells by column name, in any column order.

    Raises ValueError, naming the line, when it is no credential report or a row has too few or too many cells.
    """
    lines = content.splitlines() if isinstance(content, str) else content
    reader = csv.reader(lines, strict=True)
    try:
        header = [cell.removeprefix("\ufeff").strip() for cell in next(reader, [])]
        if not {"user", "arn", "password_enabled"} <= set(header):
            message = "line 1: not a credential report: it has no columns user, arn and password_enabled"
            raise ValueError(message)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                message = f"line {reader.line_num}: {len(cells)} cells where the header has {len(header)}"
                raise ValueError(message)
            yield dict(zip(header, cells, strict=True))
    except csv.Error as error:
        message = f"line {reader.line_num}: {error}"
        raise ValueError(message) from error


def report_rows(content: str | Iterable[str]) -> Iterator[ReportRow]:
    """Read the report (whole, or its lines) as rows; raises ValueError as `report_table` and `report_row` do."""
    return map(report_row, report_table(content))


def report_row(cells: Mapping[str, str]) -> ReportRow:
    """Read one row of cells by column name; raises ValueError when it names no user."""
    user, arn = cells["user"].strip(), cells["arn"].strip()
    if not user or not arn:
        message = "a row of the credential report has no user or no arn"
        raise ValueError(message)
    return ReportRow(
        user=user,
        arn=arn,
        created_at=_moment(cells.get("user_creation_time", "")),
        password_enabled=_flag(cells["password_enabled"]),
        password_changed_at=_moment(cells.get("password_last_changed", "")),
        password_use=_use(cells.get("password_last_used", "")),
        mfa=_flag(cells.get("mfa_active", "")),
        keys=tuple(key for slot in (1, 2) if (key := _key(cells, slot)) is not None),
        certificates=tuple(one for slot in (1, 2) if (one := _certificate(cells, slot)) is not None),
    )


def _key(cells: Mapping[str, str], slot: int) -> ReportKey | None:
    active = _flag(cells.get(f"access_key_{slot}_active", ""))
    created_at = _moment(cells.get(f"access_key_{slot}_last_rotated", ""))
    if not active and created_at is None:
        return None
    return ReportKey(slot, active, created_at, _use(cells.get(f"access_key_{slot}_last_used_date", "")))


def _certificate(cells: Mapping[str, str], slot: int) -> ReportCertificate | None:
    active = _flag(cells.get(f"cert_{slot}_active", ""))
    uploaded_at = _moment(cells.get(f"cert_{slot}_last_rotated", ""))
    return None if not active and uploaded_at is None else ReportCertificate(slot, active, uploaded_at)


def _flag(cell: str) -> bool | None:
    return {"true": True, "false": False}.get(cell.strip().lower())


def _moment(cell: str) -> datetime | None:
    try:
        return instant(cell)
    except ValueError:
        return None


def _use(cell: str) -> Use:
    if cell.strip() in _NEVER:
        return NEVER_USED
    at = _moment(cell)
    return USE_UNKNOWN if at is None else Use(at, "known")
