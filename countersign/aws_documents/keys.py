"""Access keys: which listed key is which slot of the report, and the credentials that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.aws_documents.report import USE_UNKNOWN, ReportKey, Use
from countersign.clock import stamp
from countersign.identity import Credential, Identity, uid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class ListedKey:
    """One key as iam:ListAccessKeys gives it, with what is known of its use."""

    id: str
    active: bool
    created_at: datetime
    use: Use = USE_UNKNOWN
    use_reason: str = "no use was read for this key"
    """Why the use is unknown, where it is."""
    use_seen_to: datetime | None = None
    """The report's time when the use is from the report; None when it was asked at the moment of reading."""


def pair(slots: Sequence[ReportKey], listed: Sequence[ListedKey]) -> Iterator[tuple[ListedKey, ReportKey | None]]:
    """Find for each listed key its slot of the report; None when there is none, or when it cannot be told which.

    Creation second first. Where two share it, Status decides if it tells them apart in both documents, and slots that
    agree on use need no deciding. A slot that nobody listed was deleted since the report: it comes back nowhere.
    """
    for second in dict.fromkeys(_second(key.created_at) for key in listed):
        keys = [key for key in listed if _second(key.created_at) == second]
        here = [slot for slot in slots if slot.created_at is not None and _second(slot.created_at) == second]
        if len(here) < len(keys):  # a key is newer than the report, or "last rotated" moved with a later change
            yield from ((key, None) for key in keys)
        else:
            yield from _same_second(here, keys)


def key_credentials(
    identity: Identity, slots: Sequence[ReportKey], listed: Sequence[ListedKey] | None, *, report_at: datetime | None
) -> Iterator[Credential]:
    """Give a user's access keys: from the listing when there is one, else from the report alone.

    A key whose id is not known is called `<identity's native id>@<creation second>`; two that share the second get `#1`
    and `#2`, the active one first.
    """
    if listed is None:
        yield from (_from_report(identity, slot, slots, report_at) for slot in slots)
        return
    for key in listed:
        yield Credential(
            uid=uid(identity.provider, identity.scope, "access-key", key.id),
            identity_uid=identity.uid,
            provider=identity.provider,
            scope=identity.scope,
            kind="access-key",
            enabled=key.active,
            created_at=key.created_at,
            last_used_at=key.use.at,
            last_used_state=key.use.state,
            use_seen_to=key.use_seen_to,
            observed_at=identity.observed_at,
            unknown={"last_used_at": key.use_reason} if key.use.state == "unknown" else {},
        )


def _same_second(slots: Sequence[ReportKey], keys: Sequence[ListedKey]) -> Iterator[tuple[ListedKey, ReportKey | None]]:
    if len(slots) == 1 or len({slot.use for slot in slots}) == 1:
        yield from ((key, slots[0]) for key in keys)
        return
    by_status = {slot.active: slot for slot in slots}
    told_apart = len(by_status) == len(slots) == len(keys) == len({key.active for key in keys})
    yield from ((key, by_status.get(key.active) if told_apart else None) for key in keys)


def _from_report(identity: Identity, slot: ReportKey, slots: Sequence[ReportKey], report_at: datetime | None) -> Credential:
    unknown: dict[str, str] = {}
    use = slot.use
    if slot.created_at is None:
        name = f"{identity.native_id}@unknown"
        unknown["created_at"] = "the credential report gives no date for this key"
    else:
        name = f"{identity.native_id}@{stamp(_second(slot.created_at)).replace('-', '').replace(':', '')}"
    twins = [other for other in slots if other.created_at == slot.created_at]
    if len(twins) > 1:
        twins.sort(key=lambda other: (not other.active, other.slot))
        name += f"#{twins.index(slot) + 1}"
        if len({other.active for other in twins}) == 1 and len({other.use for other in twins}) > 1:
            use = USE_UNKNOWN
            unknown["last_used_at"] = "two keys of this user were created in the same second, and the report does not say which was used"
    if slot.active is None:
        unknown["enabled"] = "the credential report does not say whether this key is active"
    if use.state == "unknown":
        unknown.setdefault("last_used_at", "the credential report gives no use for this key")
    return Credential(
        uid=uid(identity.provider, identity.scope, "access-key", name),
        identity_uid=identity.uid,
        provider=identity.provider,
        scope=identity.scope,
        kind="access-key",
        enabled=slot.active,
        created_at=slot.created_at,
        last_used_at=use.at,
        last_used_state=use.state,
        use_seen_to=report_at,
        observed_at=identity.observed_at,
        unknown=unknown,
    )


def _second(when: datetime) -> datetime:
    return when.replace(microsecond=0)
