"""Reads one account: what all turns on in as few calls as there are pages, then what else it holds and lets in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from itertools import islice
from typing import TYPE_CHECKING, cast

from connectors.aws.analyzer import Sharing
from connectors.aws.anywhere import Anywhere
from connectors.aws.creators import Creators
from connectors.aws.federation import delegation_requests, providers
from connectors.aws.holdings import holdings
from connectors.aws.kept import Kept
from connectors.aws.keys import KEY_USE, KEYS, KeyIds
from connectors.aws.organization import account_tags, is_management, management, name_of
from connectors.aws.sdk import NotYetError
from connectors.aws.seen import authorization_items, report_item
from connectors.aws.users import UserCredentials
from connectors.aws.visit import Visit
from countersign.aws_documents import ROOT, AccountRecords, Reading, ReportRow, report_row, report_table
from countersign.aws_documents.fields import details, text
from countersign.errors import ReadError, ScopeDeniedError
from countersign.identity import Grant, Identity, Observation, Provenance, Record, Trust

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_iam.type_defs import GetCredentialReportResponseTypeDef

    from connectors.aws.door import Account
    from connectors.aws.visit import Operation
    from countersign.reading import ReadRequest

AUTHORIZATION = "iam:GetAccountAuthorizationDetails"
REPORT = "iam:GetCredentialReport"
GENERATE = "iam:GenerateCredentialReport"
SUMMARY = "iam:GetAccountSummary"
CORE = (SUMMARY, GENERATE, REPORT, AUTHORIZATION, KEYS.operation, KEY_USE)
"""Operations without which nothing is known of users, roles and keys; the others are asked in addition."""
_REPORT_COVERS = ("user", "password", "access-key", "signing-certificate")  # of users only the root user is listed nowhere else
_AUTHORIZATION_COVERS = ("user", "role", "service-specific-credential", "signing-certificate", "ssh-key", "trust-anchor")
"""What users hold is listed by their names, or not at all while nobody says who they are; whom a trust anchor lets in, roles say."""
_OTHER_LISTS = ("GroupDetailList", "Policies")
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
        self._visit = Visit(account, request)
        self._kept = Kept(request.kept, account.number, request.now())
        self._rows: dict[str, ReportRow] = {}
        self._report_at: datetime | None = None
        self._root_password: bool | None = None
        self._joined: list[str] = []
        self._joined_before: list[str] = []
        """Users by ARN of the last page and of the one before, whose rows have been used."""
        self._trusting: set[str] = set()
        """Roles by ARN that let an outside party in."""

    def records(self) -> Iterator[Record]:
        """Yield everything about the account.

        Raises ScopeDeniedError or ReadError when neither the report nor the authorization details could be read.
        """
        self._summarise_and_generate()
        yield from self._report()
        report = self._visit.tally(REPORT, _REPORT_COVERS)
        authorization = self._visit.tally(AUTHORIZATION, _AUTHORIZATION_COVERS)
        reading = Reading(
            account=self._account.number,
            observed_at=self._request.now(),
            report=self._rows if not report.refused else None,
            report_at=self._report_at,
            report_reason=report.why or "",
            root_password=self._root_password,
        )
        keys = KeyIds(self._visit, self._kept, self._report_at)
        records = AccountRecords(reading, keys.find)
        users = UserCredentials(self._visit, self._kept)
        anywhere = Anywhere(self._visit, self._kept)
        creators = Creators(self._visit, self._kept)
        users_in_report = sum(row.user != ROOT for row in self._rows.values())
        for page in self._pages(authorization):
            yield self._visit.observation(AUTHORIZATION, {"MaxItems": PAGE}, authorization.pages, tuple(authorization_items(page)))
            users.learn(page)
            anywhere.learn(page)
            try:
                yield from self._with_depth(records.page(page), users, anywhere, creators)
            except ValueError as error:
                authorization.fail(ReadError(AUTHORIZATION, f"page {authorization.pages}: {error}"))
            yield from keys.handed_out()
            yield from self._visit.drain()
            self._forget_rows()
        if not authorization.pages and authorization.refused and report.refused:
            refused = authorization.denied and report.denied
            raise (ScopeDeniedError if refused else ReadError)(AUTHORIZATION, f"{authorization.coverage().error}; {report.why}")
        yield from self._with_depth(records.end(), users, anywhere, creators)
        self._account_for_the_rest(report, authorization, users_in_report - records.joined)
        yield from self._depth(users, anywhere)
        yield from self._visit.drain()
        self._kept.save()
        yield from self._provenance(reading)
        yield from (tally.coverage() for tally in self._visit.tallies.values())

    def _with_depth(self, records: Iterable[Record], users: UserCredentials, anywhere: Anywhere, creators: Creators) -> Iterator[Record]:
        """Pass records on, each with what is known of it from elsewhere."""
        roles: dict[str, str] = {}
        for record in records:
            if isinstance(record, Identity):
                yield creators.add_to(record)
                arn = record.aliases[0] if record.aliases else ""
                row = self._rows.get(arn)
                if record.name == ROOT and record.native_id == self._account.number:
                    yield from users.certificates_of_root(record, row)
                elif record.kind == "user":
                    yield from users.of(record, row)
                    self._joined.append(arn)
                else:
                    roles = {record.uid: arn}  # a role's trusts come right after it
                continue
            if isinstance(record, Grant):
                anywhere.granted(record)
            elif isinstance(record, Trust) and record.identity_uid in roles:
                self._trusting.add(roles[record.identity_uid])
            yield record

    def _depth(self, users: UserCredentials, anywhere: Anywhere) -> Iterator[Record]:
        """Yield what is not of users and roles themselves; whatever is refused or fails, the rest is read."""
        visit = self._visit
        yield from users.end()
        yield from providers(visit)
        yield from delegation_requests(visit)
        sharing = Sharing(visit)
        yield from sharing.read()
        sharing.cross_check(self._trusting)
        yield from anywhere.read()
        tags, why = account_tags(visit)
        yield from holdings(visit, tags, name_of(self._request.scope), why)
        if is_management(self._request.scope):
            yield from management(visit)

    def _summarise_and_generate(self) -> None:
        """Have the report written, and count users and roles meanwhile."""
        generate, summary = self._visit.tally(GENERATE), self._visit.tally(SUMMARY)
        try:
            self._account.ask(GENERATE, lambda iam: iam.generate_credential_report())
            generate.answered(0)
        except ReadError as error:
            generate.fail(error)
        try:
            counts = self._account.ask(SUMMARY, lambda iam: iam.get_account_summary())["SummaryMap"]
        except ReadError as error:
            summary.fail(error)
        else:
            summary.answered(1)
            named = cast("Mapping[str, int]", counts)
            if "Users" in named and "Roles" in named:
                self._visit.tally(AUTHORIZATION, _AUTHORIZATION_COVERS).independent_count = named["Users"] + named["Roles"]
            if "AccountPasswordPresent" in named:
                self._root_password = named["AccountPasswordPresent"] > 0

    def _report(self) -> Iterator[Observation]:
        """Read the report into `_rows`, yielding it in pages as it was answered."""
        tally = self._visit.tally(REPORT, _REPORT_COVERS)
        try:
            answer = self._written_report(REPORT_WAITS if not self._visit.tally(GENERATE).refused else ())
            # IAM gives out no report older than four hours; moto says 2015, and so may others that speak its protocol.
            self._report_at = max(answer["GeneratedTime"].astimezone(UTC), self._request.now() - REPORT_LIVES)
            # Line by line: the text as a whole, and again as lines, is most of what a large account takes in memory.
            table = report_table(TextIOWrapper(BytesIO(answer["Content"]), "utf-8", "replace", newline=""))
            while rows := tuple(islice(table, PAGE)):
                self._rows.update((row.arn, row) for row in map(report_row, rows))
                tally.answered(len(rows))
                yield self._visit.observation(REPORT, {}, tally.pages, tuple(map(report_item, rows)))
        except ReadError as error:
            tally.fail(error)
        except (ValueError, KeyError, AttributeError) as error:
            tally.fail(ReadError(REPORT, f"the report could not be understood: {error}"))

    def _written_report(self, waits: Sequence[float]) -> GetCredentialReportResponseTypeDef:
        for wait in waits:
            try:
                return self._account.ask(REPORT, lambda iam: iam.get_credential_report())
            except NotYetError:
                time.sleep(wait)
        return self._account.ask(REPORT, lambda iam: iam.get_credential_report())

    def _pages(self, tally: Operation) -> Iterator[Mapping[str, object]]:
        """Follow the markers to the end; a failure is kept in the tally and ends the pages."""
        marker: str | None = None
        before: object = None
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
            answer = cast("Mapping[str, object]", page)
            arns = [[text(one, "Arn") for one in details(answer, name)] for name in ("UserDetailList", "RoleDetailList", *_OTHER_LISTS)]
            if arns == before and any(arns):
                tally.fail(ReadError(AUTHORIZATION, f"page {tally.pages + 1} is the same as the one before"))
                return
            before = arns
            tally.answered(len(arns[0]) + len(arns[1]))
            yield answer
            if page.get("IsTruncated") is not True:
                return
            last, marker = marker, page.get("Marker")
            if not marker or marker == last:
                tally.fail(ReadError(AUTHORIZATION, f"page {tally.pages} promises more and does not say where it starts"))
                return

    def _forget_rows(self) -> None:
        """Let go of the rows of the users on the page before the last: a user whom shifting pages give twice is on two in a row."""
        for arn in self._joined_before:
            self._rows.pop(arn, None)
        self._joined_before, self._joined = self._joined, []

    def _account_for_the_rest(self, report: Operation, authorization: Operation, left: int) -> None:
        """Say what became of report rows that no user was found for."""
        if report.refused:
            return
        if authorization.refused:
            reason = authorization.coverage().error
            report.leave_out(f"no immutable id without {AUTHORIZATION}", left)
            report.gap(f"passwords and keys of users that {AUTHORIZATION} did not give were left out: {reason}")
        else:
            report.leave_out("the user no longer exists", left)

    def _provenance(self, reading: Reading) -> Iterator[Provenance]:
        now, generated = reading.observed_at, reading.report_at
        said: list[tuple[str, str, str, datetime]] = [("user", "*", AUTHORIZATION, now), ("role", "*", AUTHORIZATION, now)]
        if generated is not None:
            said += [("user", name, REPORT, generated) for name in ("track", "console", "mfa", "last_active_at")]
            said += [(kind, "*", REPORT, generated) for kind in ("password", "access-key")]
        tallies = self._visit.tallies
        keys = tallies.get(KEYS.operation)
        if keys is not None and keys.pages:
            said += [("access-key", name, KEYS.operation, keys.finished) for name in ("created_at", "enabled")]
        said += [
            (kind, "*", tally.operation, tally.finished)
            for tally in tallies.values()
            for kind in tally.covers[:1]  # to the others it only leads
            if tally.pages and tally.operation not in (AUTHORIZATION, REPORT)
        ]
        for kind, name, call, at in said:
            yield Provenance(provider="aws", scope=reading.account, kind=kind, field=name, call=call, at=at)
