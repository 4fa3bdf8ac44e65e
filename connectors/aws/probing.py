"""Tries what a reading needs with the smallest call for each, and says what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.aws import analyzer, anywhere, creators, federation, holdings, keys, organization, users
from connectors.aws.door import enter
from connectors.aws.listing import Listing
from connectors.aws.sdk import GoneError, NotOfferedError, NotYetError, reason_of
from countersign.errors import ReadError
from countersign.reading import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from connectors.aws.door import Account
    from connectors.aws.listing import Item
    from countersign.programme import AwsSource
    from countersign.reading import Scope

_CORE: tuple[tuple[Listing, Item], ...] = (
    (Listing(service="iam", action="GetAccountSummary", patient=True), {}),
    (Listing(service="iam", action="GetCredentialReport", patient=True), {}),
    (Listing(service="iam", action="GetAccountAuthorizationDetails", patient=True), {"MaxItems": 1}),
)
_NOBODY = {"UserName": "countersign-asks-for-nobody"}
"""Asking for a user who is not there: whoever may list is told that there is none."""
_GLOBAL: tuple[tuple[Listing, Item], ...] = (
    (keys.KEYS, _NOBODY),
    (users.SERVICE_CREDENTIALS, {"AllUsers": True, "MaxItems": 1}),
    (users.SIGNING_CERTIFICATES, _NOBODY),
    (users.SSH_KEYS, _NOBODY),
    (federation.OIDC_PROVIDERS, {}),
    (federation.SAML_PROVIDERS, {}),
    (federation.DELEGATION_REQUESTS, {"MaxItems": 1}),
    (holdings.SERVER_CERTIFICATES, {"MaxItems": 1}),
)
_REGIONAL: tuple[tuple[Listing, Item], ...] = (
    (analyzer.ANALYZERS, {"maxResults": 1}),
    (anywhere.ANCHORS, {"pageSize": 1}),
    (anywhere.PROFILES, {"pageSize": 1}),
    (anywhere.SUBJECTS, {"pageSize": 1}),
    (holdings.SECRETS, {"MaxResults": 1}),
)
_MANAGEMENT: tuple[tuple[Listing, Item], ...] = (
    (organization.DELEGATED, {"MaxResults": 1}),
    (organization.BILLING, {"Type": "BILLING", "MaxResults": 1}),
)


def probes(source: AwsSource, scope: Scope) -> Iterator[Probe]:
    """Enter an account and try each operation in it, regional ones in each region; no report is generated."""
    entering = "sts:AssumeRole" if scope.detail.get("role") else "sts:GetCallerIdentity"
    try:
        account = enter(source, scope, "doctor")
    except ReadError as error:
        yield Probe(scope.name, entering, ok=False, detail=reason_of(error))
        return
    yield Probe(scope.name, entering, ok=True, detail=account.caller)
    for listing, parameters in (*_CORE, *_GLOBAL):
        yield _try(account, listing, parameters)
    yield _try(account, creators.EVENTS, {"MaxResults": 1}, creators.region_of_iam(source))
    for region in source.regions:
        for listing, parameters in _REGIONAL:
            yield _try(account, listing, parameters, region)
    if organization.is_management(scope):
        for listing, parameters in _MANAGEMENT:
            yield _try(account, listing, parameters)


def _try(account: Account, listing: Listing, parameters: Item, region: str | None = None) -> Probe:
    ok, said = _answer(account, listing, parameters, region)
    return Probe(account.number, listing.operation, ok=ok, detail=said if region is None else f"{region}: {said}")


def _answer(account: Account, listing: Listing, parameters: Item, region: str | None) -> tuple[bool, str]:
    try:
        account.call(listing, parameters, region=region)
    except NotYetError:
        return True, "allowed; no current report, a run has one written"
    except GoneError:
        return True, account.caller
    except NotOfferedError as error:
        return True, f"{reason_of(error)}; nothing of the kind can be there"
    except ReadError as error:
        return False, f"{reason_of(error)}; {account.caller} needs {listing.operation}"
    return True, account.caller
