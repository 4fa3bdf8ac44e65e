"""Secrets and certificates of an application or service principal, as Microsoft Graph answers them and `az` exports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from countersign.fields import Row, guid, kept, rows, text
from countersign.identity import uid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from countersign.tally import Tally

ROTATED_BY_AZURE = "credential of a managed identity, which Azure rotates"
OF_A_SIGNING_PAIR = "second half of a SAML signing certificate"
NO_KEY_ID = "credential without a key id"
LISTED_TWICE = "credential listed twice"
NO_LISTS = "entry without passwordCredentials or keyCredentials"
_SHOWN = ("keyId", "startDateTime", "endDateTime", "displayName", "usage", "type")


def own_credentials(row: Row, tally: Tally, told: set[str], *, no_lists: str = NO_LISTS) -> Iterator[tuple[str, str, Row]]:
    """Yield kind, key id and row of each credential that is the object's own to rotate; what is not yielded is counted in the tally.

    `told` has the uids of those that were yielded for other objects, and gains these. `no_lists`: what to say of an object that
    came without the lists.
    """
    secrets, keys = rows(row, "passwordCredentials"), rows(row, "keyCredentials")
    if secrets is None or keys is None:
        tally.gap(no_lists)
    if text(row, "servicePrincipalType") == "ManagedIdentity":
        tally.leave_out(ROTATED_BY_AZURE, len(secrets or ()) + len(keys or ()))
        return
    # A SAML signing certificate is listed three times under one customKeyIdentifier: to sign, to verify, and its password.
    signing = {text(key, "customKeyIdentifier") for key in keys or () if text(key, "usage") == "Sign"} - {None}
    for kind, listed in (("client-secret", secrets or ()), ("certificate", keys or ())):
        for item in listed:
            key_id = guid(item, "keyId")
            if text(item, "customKeyIdentifier") in signing and text(item, "usage") != "Sign":
                tally.leave_out(OF_A_SIGNING_PAIR)
            elif key_id is None:
                tally.drop(NO_KEY_ID)
            elif (subject := uid("azure", tally.scope, kind, key_id)) in told:
                tally.leave_out(LISTED_TWICE)
            else:
                told.add(subject)
                yield kind, key_id, item


def shown_credentials(row: Row) -> dict[str, object]:
    """Reduce the lists to the fields that an auditor may see: hints of secrets and key values are not among them."""
    return {key: [kept(item, _SHOWN) for item in rows(row, key) or ()] for key in ("passwordCredentials", "keyCredentials")}
