"""Takes apart what a finding is about, once for all providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countersign.finding import Known


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about, by the parts of its uids."""

    provider: str
    scope: str
    """The scope that the subject is in; of a source, the scope that was not read."""
    kind: str
    native_id: str
    name: str | None
    """What the ledger calls it, or its identity."""
    identity_kind: str | None
    identity_id: str | None
    """Native id of the identity behind it; None where there is none."""
    partner: str | None
    control: str
    uid: str
    fingerprint: str


def subject_of(finding: Known) -> Subject:
    """Return the parts of a finding's subject; kind and native id are empty where its uid is not of the usual form."""
    scope, kind, native_id = _parts(finding.subject, finding.provider, finding.scope)
    identity_kind = identity_id = None
    if finding.identity is not None:
        _, identity_kind, identity_id = _parts(finding.identity, finding.identity.partition(":")[0], scope)
    return Subject(
        provider=finding.provider,
        scope=scope,
        kind=kind,
        native_id=native_id,
        name=finding.identity_name,
        identity_kind=identity_kind or None,
        identity_id=identity_id or None,
        partner=finding.partner,
        control=finding.control,
        uid=finding.subject,
        fingerprint=finding.fingerprint,
    )


def _parts(uid: str, provider: str, scope: str) -> tuple[str, str, str]:
    """Split `provider:scope:kind/native-id`; a scope may hold colons and slashes, a native id both."""
    head = f"{provider}:{scope}:"
    if uid.startswith(head):
        kind, _, native_id = uid.removeprefix(head).partition("/")
        return scope, kind, native_id
    if scope.startswith("source/"):  # the ledger keeps what is about a source under a scope of the source's own
        where, _, native_id = uid.removeprefix(f"{provider}:").rpartition(":source/")
        return where, "source", native_id
    # Some identities are in another scope than what they hold; those scopes hold no slash before their kind.
    where, _, rest = uid.removeprefix(f"{provider}:").partition(":")
    kind, slash, native_id = rest.partition("/")
    return (where, kind, native_id) if slash else (scope, "", "")
