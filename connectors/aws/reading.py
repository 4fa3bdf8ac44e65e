"""Reads one account in as few calls as there are pages, plus one per user whose keys' ids are needed."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, cast

from connectors.aws.door import GoneError, NotYetError, reason_of
from connectors.aws.seen import authorization_items, key_items, report_item
from connectors.aws.tally import Tally
from countersign.aws_documents import ROOT, AccountRecords, ListedKey, Reading, ReportKey, ReportRow, Use, pair, report_row, report_table
from countersign.aws_documents.report import NEVER_USED
from countersign.clock import stamp
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Identity, Observation, Provenance, Record
from countersign.reading import KeyRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_iam.type_defs import GetCredentialReportResponseTypeDef

    from connectors.aws.door import Account
    from countersign.reading import ReadRequest

AUTHORIZATION = "iam:GetAccountAuthorizationDetails"
REPORT = "iam:GetCredentialReport"
GENERATE = "iam:GenerateCredentialReport"
SUMMARY = "iam:GetAccountSummary"
LIST_KEYS = "iam:ListAccessKeys"
KEY_USE = "iam:GetAccessKeyLastUsed"
_REPORT_COVERS = ("user", "password", "access-key")  # of users only the root user is listed nowhere else
PAGE = 1000
"""Entries a page: the most that IAM gives."""
REPORT_LIVES = timedelta(hours=4)
"""Age at which IAM has a report written anew (API_GenerateCredentialReport)."""
REPORT_WAITS = (0.25, 0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8, 8)
"""Seconds between questions for a report that is being written: 64 s in all."""


class AccountReading:
    """One pass over one account."""

    def __init__(self, account: Account, request: ReadRequest) -> None:
        self._account = account
        self._request = request
        self._tallies: dict[str, Tally] = {}
        self._seen: list[Observation] = []
        """Observations of calls made while records are being built, handed out after each page."""
        self._rows: dict[str, ReportRow] = {}
        self._report_at: datetime | None = None

    def records(self) -> Iterator[Record]:
        """Yield everything about the account.

        Raises ScopeDeniedError or ReadError when neither the report nor the authorization details could be read.
        """
        self._summarise_and_generate()
        yield from self._report()
        report = self._tally(REPORT, _REPORT_COVERS)
        authorization = self._tally(AUTHORIZATION, ("user", "role"))
        reading = Reading(
            account=self._account.number,
            observed_at=self._request.now(),
            report=self._rows if report.error is None else None,
            report_at=self._report_at,
            report_reason="" if report.error is None else str(report.error),
            root_password=self._root_password,
        )
        records = AccountRecords(reading, self._key_ids)
        for page in self._pages(authorization):
            yield self._observation(AUTHORIZATION, {"MaxItems": PAGE}, authorization.pages, tuple(authorization_items(page)))
            try:
                yield from records.page(page)
            except ValueError as error:
                authorization.fail(ReadError(AUTHORIZATION, f"page {authorization.pages}: {error}"))
            yield from self._drain()
        if not authorization.pages and authorization.error is not None and report.error is not None:
            raise _worst(authorization.error, report.error)
        yield from records.end()
        self._account_for_the_rest(report, authorization, records.joined)
        yield from self._provenance(reading)
        yield from (tally.coverage(self._request.scope) for tally in self._tallies.values())

    def _summarise_and_generate(self) -> None:
        """Have the report written, and count users and roles meanwhile."""
        generate, summary = self._tally(GENERATE), self._tally(SUMMARY)
        try:
            self._account.ask(GENERATE, lambda iam: iam.generate_credential_report())
            generate.page(0)
        except ReadError as error:
            generate.fail(error)
        self._root_password: bool | None = None
        try:
            counts = self._account.ask(SUMMARY, lambda iam: iam.get_account_summary())["SummaryMap"]
        except ReadError as error:
            summary.fail(error)
        else:
            summary.page(1)
            named = cast("Mapping[str, int]", counts)
            if "Users" in named and "Roles" in named:
                self._tally(AUTHORIZATION, ("user", "role")).independent_count = named["Users"] + named["Roles"]
            if "AccountPasswordPresent" in named:
                self._root_password = named["AccountPasswordPresent"] > 0

    def _report(self) -> Iterator[Observation]:
        """Read the report into `_rows`, yielding it in pages as it was answered."""
        tally = self._tally(REPORT, _REPORT_COVERS)
        try:
            answer = self._written_report(REPORT_WAITS if self._tally(GENERATE).error is None else ())
            # IAM gives out no report older than four hours; moto says 2015, and so may others that speak its protocol.
            self._report_at = max(answer["GeneratedTime"].astimezone(UTC), self._request.now() - REPORT_LIVES)
            table = report_table(answer["Content"].decode("utf-8", "replace").splitlines())
            while rows := tuple(islice(table, PAGE)):
                self._rows.update((row.arn, row) for row in map(report_row, rows))
                tally.page(len(rows))
                yield self._observation(REPORT, {}, tally.pages, tuple(map(report_item, rows)))
        except ReadError as error:
            tally.fail(error)
        except ValueError as error:
            tally.fail(ReadError(REPORT, f"the report could not be understood: {error}"))

    def _written_report(self, waits: Sequence[float]) -> GetCredentialReportResponseTypeDef:
        for wait in waits:
            try:
                return self._account.ask(REPORT, lambda iam: iam.get_credential_report())
            except NotYetError:
                time.sleep(wait)
        return self._account.ask(REPORT, lambda iam: iam.get_credential_report())

    def _pages(self, tally: Tally) -> Iterator[Mapping[str, object]]:
        """Follow the markers to the end; a failure is kept in the tally and ends the pages."""
        marker: str | None = None
        while True:
            try:
                page = self._account.ask(
                    AUTHORIZATION,
                    lambda iam, start=marker: iam.get_account_authorization_details(  # type: ignore[misc] # the default binds this page's marker
                        Filter=["User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy"],
                        MaxItems=PAGE,
                        **({"Marker": start} if start else {}),
                    ),
                )
            except ReadError as error:
                tally.fail(error)
                return
            tally.page(len(page["UserDetailList"]) + len(page["RoleDetailList"]))
            yield cast("Mapping[str, object]", page)
            if not page["IsTruncated"]:
                return
            last, marker = marker, page.get("Marker")
            if not marker or marker == last:
                tally.fail(ReadError(AUTHORIZATION, f"page {tally.pages} promises more and does not say where it starts"))
                return

    def _key_ids(self, user: Identity, slots: tuple[ReportKey, ...]) -> Sequence[ListedKey] | None:
        """List a user's keys when one of them is worth the call; None when none is, or the listing failed."""
        active = [slot for slot in slots if slot.active is not False]
        rows = (
            KeyRow(name=user.name, tags=user.tags, created_at=slot.created_at, last_used_at=slot.use.at, several=len(active) > 1)
            for slot in active
        )
        if not any(self._request.needs_id(row) for row in rows):
            return None
        tally = self._tally(LIST_KEYS)
        if isinstance(tally.error, ScopeDeniedError):
            return None
        try:
            answer = self._account.ask(
                LIST_KEYS, lambda iam: iam.get_paginator("list_access_keys").paginate(UserName=user.name).build_full_result()
            )
        except GoneError:
            return ()  # deleted since its page was answered, and its keys with it
        except ReadError as error:
            tally.fail(error)
            return None
        listed = tuple(
            ListedKey(one["AccessKeyId"], one["Status"] == "Active", one["CreateDate"].astimezone(UTC))
            for one in answer["AccessKeyMetadata"]
        )
        tally.page(len(listed))
        self._seen.append(self._observation(LIST_KEYS, {"UserName": user.name}, 1, key_items(listed)))
        return [self._with_use(key, slot) for key, slot in pair(slots, listed)]

    def _with_use(self, key: ListedKey, slot: ReportKey | None) -> ListedKey:
        if slot is not None:
            return replace(key, use=slot.use, use_seen_to=self._report_at, use_reason="the credential report gives no use for this key")
        tally = self._tally(KEY_USE)
        if isinstance(tally.error, ScopeDeniedError):
            return replace(key, use_reason=str(tally.error))
        try:
            answer = self._account.ask(KEY_USE, lambda iam: iam.get_access_key_last_used(AccessKeyId=key.id))
        except ReadError as error:
            tally.fail(error)
            return replace(key, use_reason=str(error))
        tally.page(1)
        used_at = answer["AccessKeyLastUsed"].get("LastUsedDate")
        use = NEVER_USED if used_at is None else Use(used_at.astimezone(UTC), "known")
        item = {"AccessKeyId": key.id, "LastUsedDate": None if use.at is None else stamp(use.at)}
        self._seen.append(self._observation(KEY_USE, {"AccessKeyId": key.id}, 1, (item,)))
        return replace(key, use=use)

    def _account_for_the_rest(self, report: Tally, authorization: Tally, joined: int) -> None:
        """Say what became of report rows that no user was found for."""
        if report.error is not None:
            return
        left = sum(row.user != ROOT for row in self._rows.values()) - joined
        if authorization.error is None:
            report.dropped = {"the user no longer exists": left} if left else {}
        else:
            reason = f"no immutable id without {AUTHORIZATION}"
            report.dropped = {reason: left} if left else {}
            report.gap = f"passwords and keys of users that {AUTHORIZATION} did not give were left out: {reason_of(authorization.error)}"

    def _provenance(self, reading: Reading) -> Iterator[Provenance]:
        now, generated = reading.observed_at, reading.report_at
        said: list[tuple[str, str, str, datetime]] = [("user", "*", AUTHORIZATION, now), ("role", "*", AUTHORIZATION, now)]
        if generated is not None:
            said += [("user", name, REPORT, generated) for name in ("track", "console", "mfa", "last_active_at")]
            said += [(kind, "*", REPORT, generated) for kind in ("password", "access-key")]
        keys = self._tallies.get(LIST_KEYS)
        if keys is not None and keys.pages:
            said += [("access-key", name, LIST_KEYS, keys.finished) for name in ("created_at", "enabled")]
        for kind, name, call, at in said:
            yield Provenance(provider="aws", scope=reading.account, kind=kind, field=name, call=call, at=at)

    def _tally(self, operation: str, covers: tuple[str, ...] = ()) -> Tally:
        if operation not in self._tallies:
            self._tallies[operation] = Tally(operation, covers, self._request.now)
        return self._tallies[operation]

    def _observation(
        self, operation: str, parameters: Mapping[str, object], page: int, items: tuple[Mapping[str, object], ...]
    ) -> Observation:
        return Observation(
            source=self._request.source.name,
            scope=self._request.scope.name,
            operation=operation,
            parameters=parameters,
            page=page,
            at=self._request.now(),
            caller=self._account.caller,
            items=items,
        )

    def _drain(self) -> Iterator[Observation]:
        seen, self._seen = self._seen, []
        yield from seen


def _worst(first: ReadError, second: ReadError) -> ReadError:
    """Join two failures into one; it is a refusal only when both are, since trying again helps against the other kind."""
    refused = isinstance(first, ScopeDeniedError) and isinstance(second, ScopeDeniedError)
    return (ScopeDeniedError if refused else ReadError)(first.operation, f"{reason_of(first)}; {second.message}")
