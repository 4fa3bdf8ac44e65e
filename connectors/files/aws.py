"""Turns credential reports and account authorization details into records, joined by ARN where both are there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from connectors.files.folder import DETAILS, REPORT, Export, Refused, report_lines
from connectors.files.reading import IN_A_NEWER_FILE, NOT_EXPORTED, FileTally, Into
from countersign.aws_documents.records import Reading, credentials_of, identities_of, root_of, user_of
from countersign.aws_documents.report import ROOT, ReportRow, report_row, report_table
from countersign.clock import stamp
from countersign.fields import Row, kept, rows, text
from countersign.identity import Identity, Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

BY_NAME = "a credential report has no ids: this is the user's name, which another user may take over"
OLDER_REPORT = "row of an older credential report of the same account"
NOT_IN_DETAILS = "user of the report who is not in the authorization details"

_IDS = {"UserDetailList": "UserId", "RoleDetailList": "RoleId", "GroupDetailList": "GroupId", "Policies": "PolicyId"}
_COUNTED = ("UserDetailList", "RoleDetailList")
"""What the records are made of; groups and policies only say what these may do."""
_SHOWN = (
    "UserName",
    "UserId",
    "RoleName",
    "RoleId",
    "GroupName",
    "GroupId",
    "PolicyName",
    "PolicyId",
    "Arn",
    "Path",
    "CreateDate",
    "GroupList",
)


@dataclass(frozen=True, slots=True)
class _Report:
    """One credential report, read."""

    tally: FileTally
    rows: Mapping[str, ReportRow]
    """By ARN."""
    shown: tuple[Mapping[str, object], ...]


def records(exports: Sequence[Export], into: Into) -> Iterator[Record]:
    """Yield the records of one account. The newest report counts; of the details every file is a page of one answer."""
    newest_first = sorted(exports, key=lambda one: (one.modified, one.name), reverse=True)
    pages = [one for one in newest_first if one.format == DETAILS]
    reports = [_report(one, into, alone=not pages) for one in newest_first if one.format == REPORT]
    usable = next((report for report in reports if not report.tally.refused), None)
    reading = Reading(
        account=into.scope,
        observed_at=into.at,
        report=usable.rows if usable else None,
        report_at=_told_at(usable) if usable else None,
        report_reason="its credential report is broken" if reports else "no credential report of this account is in the folder",
    )
    if pages:
        yield from _from_details(pages, reading, into, usable)
    elif usable is not None:
        yield from _from_report(usable, reading)
    for report in reports:
        if usable is not None and report is not usable and not report.tally.refused:
            report.tally.leave_out(OLDER_REPORT, len(report.rows))
        elif report is usable:
            yield from report.tally.provenance(report.tally.covers)
            if pages:
                for name in ("track", "console", "mfa", "last_active_at"):
                    yield from report.tally.provenance(("user",), name)
        yield from report.tally.observations(iter(report.shown))
        yield report.tally.coverage()


def _told_at(report: _Report) -> datetime:
    """Say when the report was written: no earlier than anything in it, whatever the file's date or its `GeneratedTime` say."""
    return max([report.tally.export.modified, *(when for row in report.rows.values() if (when := row.told_at) is not None)])


def _report(export: Export, into: Into, *, alone: bool) -> _Report:
    covers = ("user", "password", "access-key") if alone else ("password", "access-key")
    tally = into.export(export, *covers)
    found: dict[str, ReportRow] = {}
    shown: list[Mapping[str, object]] = []
    try:
        for cells in report_table(report_lines(export.path, export.document)):
            row = report_row(cells)
            shown.append(cells)
            if row.arn in found:
                tally.drop("second row of one user")
            else:
                found[row.arn] = row
    except (ValueError, OverflowError, OSError, Refused) as error:
        tally.refuse(f"{error}; export it again")
        return _Report(tally, {}, ())
    tally.answered(len(shown))
    return _Report(tally, found, tuple(shown))


def _from_report(report: _Report, reading: Reading) -> Iterator[Record]:
    for row in report.rows.values():
        if row.user == ROOT:
            continue
        detail: dict[str, object] = {"UserId": row.user, "UserName": row.user, "Arn": row.arn}
        if row.created_at is not None:
            detail["CreateDate"] = stamp(row.created_at)
        user = user_of(detail, row, reading)
        reasons = {"native_id": BY_NAME} | dict.fromkeys(("grants", "owner_claim", "purpose", "tags"), NOT_EXPORTED)
        yield replace(user, unknown={**user.unknown, **reasons})
        yield from credentials_of(user, row, reading)
    yield from root_of(reading)


def _from_details(pages: Sequence[Export], reading: Reading, into: Into, report: _Report | None) -> Iterator[Record]:
    seen: set[str] = set()
    read: list[tuple[FileTally, Row]] = []
    for export in pages:
        tally = into.export(export, "user", "role")
        read.append((tally, _cleaned(export.document if isinstance(export.document, dict) else {}, tally, seen)))
    if all(_truncated(export.document) for export in pages):
        read[0][0].gap("the last page is missing: every file says that more follows; export without --max-items")
    named: set[str] = set()
    try:
        for record in identities_of((page for _, page in read), reading):
            if isinstance(record, Identity):
                named.update(record.aliases)
            yield record
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        # Entries of a shape that AWS never writes; which file it is cannot be told from here, so none of them counts as whole.
        for tally, _ in read:
            tally.gap(f"an entry could not be read ({error}); export it again")
    else:
        if report is not None:
            report.tally.leave_out(NOT_IN_DETAILS, len(report.rows.keys() - named))
    for tally, page in read:
        yield from tally.provenance(tally.covers)
        entries = (kept(entry, _SHOWN) | _documents(entry) for key in _IDS for entry in rows(page, key) or ())
        yield from tally.observations(entries)
        yield tally.coverage()


def _cleaned(page: Row, tally: FileTally, seen: set[str]) -> Row:
    """Leave out entries without an id, and those that a newer file holds."""
    cleaned: dict[str, object] = {}
    for key, id_field in _IDS.items():
        listed = page.get(key)
        good: list[Row] = []
        for entry in listed if isinstance(listed, list) else ():
            identifier = text(entry, id_field) if isinstance(entry, dict) else None
            if identifier is None:
                tally.drop(f"entry of {key} without {id_field}")
            elif identifier in seen:
                tally.leave_out(IN_A_NEWER_FILE)
            else:
                seen.add(identifier)
                good.append(entry)
        cleaned[key] = good
    tally.answered(sum(len(entries) for key in _COUNTED if isinstance(entries := page.get(key), list)))
    return cleaned


def _truncated(document: object) -> bool:
    return isinstance(document, dict) and (document.get("IsTruncated") is True or bool(document.get("NextToken") or document.get("Marker")))


def _documents(entry: Row) -> dict[str, object]:
    """Keep the trust policy, the names of policies, the tags and the last use for the auditor; policies in full stay in the file."""
    shown: dict[str, object] = {}
    for key in ("AssumeRolePolicyDocument", "RoleLastUsed", "Tags", "AttachedManagedPolicies", "PermissionsBoundary"):
        if key in entry:
            shown[key] = entry[key]
    for key in ("UserPolicyList", "RolePolicyList", "GroupPolicyList"):
        names = [text(policy, "PolicyName") for policy in rows(entry, key) or ()]
        if names:
            shown[key] = names
    return shown
