"""Ids of access keys: asked for per user where one may matter, and kept for as long as the report says the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from connectors.aws.listing import Listing, keeping
from connectors.aws.seen import key_items
from countersign.aws_documents import ListedKey, ReportKey, Use, pair
from countersign.aws_documents.fields import moment, text
from countersign.aws_documents.report import NEVER_USED
from countersign.clock import instant, stamp
from countersign.errors import ReadError
from countersign.reading import KeyRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connectors.aws.kept import Kept
    from connectors.aws.listing import Item
    from connectors.aws.visit import Visit
    from countersign.identity import Identity, Observation

KEY_USE = "iam:GetAccessKeyLastUsed"
_FAMILY = "access-keys"
KEYS = Listing(
    service="iam",
    action="ListAccessKeys",
    items="AccessKeyMetadata",
    reduce=keeping("AccessKeyId", "Status", "CreateDate"),
    size={"MaxItems": 1000},
    patient=True,
)


class KeyIds:
    """Finds the ids of a user's keys; `find` is the look-up that `AccountRecords` asks."""

    def __init__(self, visit: Visit, kept: Kept, report_at: datetime | None) -> None:
        self._visit = visit
        self._kept = kept
        self._report_at = report_at
        self._used: list[Item] = []
        """Kept answers that were used since they were last handed out."""

    def find(self, user: Identity, slots: tuple[ReportKey, ...]) -> Sequence[ListedKey] | None:
        """List a user's keys when one of them is worth the call; None when none is, or the listing failed."""
        if not self._worth_it(user, slots):
            return None
        before = _decoded(self._kept.get(_FAMILY, user.native_id))
        if before is not None and says_the_same(slots, before):
            listed: tuple[ListedKey, ...] | None = before
            self._used += [{"UserName": user.name, **item} for item in key_items(before)]
        else:
            listed = self._listed(user)
        if listed is None:
            return None
        if says_the_same(slots, listed):
            self._kept.put(_FAMILY, user.native_id, [[key.id, key.active, stamp(key.created_at)] for key in listed])
        return [self._with_use(key, slot) for key, slot in pair(slots, listed)]

    def handed_out(self) -> Iterator[Observation]:
        """Give the kept answers used since the last time, as raw material that says how old it may be."""
        if self._used:
            used, self._used = tuple(self._used), []
            yield self._visit.observation(KEYS.operation, {"kept_since": stamp(self._kept.since)}, 1, used)

    def _worth_it(self, user: Identity, slots: tuple[ReportKey, ...]) -> bool:
        if user.uid in self._visit.request.named:
            return True
        active = [slot for slot in slots if slot.active is not False]
        rows = (
            KeyRow(name=user.name, tags=user.tags, created_at=slot.created_at, last_used_at=slot.use.at, several=len(active) > 1)
            for slot in active
        )
        return any(self._visit.request.needs_id(row) for row in rows)

    def _listed(self, user: Identity) -> tuple[ListedKey, ...] | None:
        tally = self._visit.counted(KEYS)
        if tally.denied:
            return None
        failed = tally.refused.total()
        found: list[ListedKey] = []
        for page in self._visit.pages(KEYS, {"UserName": user.name}):
            for item in page:
                key = _key(item)
                if key is None:
                    tally.drop("a key without id, status or date")
                else:
                    found.append(key)
        # A user deleted since its page was answered has no keys any more, which is no failure.
        return tuple(found) if tally.refused.total() == failed else None

    def _with_use(self, key: ListedKey, slot: ReportKey | None) -> ListedKey:
        if slot is not None:
            return replace(key, use=slot.use, use_seen_to=self._report_at, use_reason="the credential report gives no use for this key")
        tally = self._visit.tally(KEY_USE)
        if tally.denied:
            return replace(key, use_reason=str(tally.why))
        try:
            answer = self._visit.account.ask(KEY_USE, lambda iam: iam.get_access_key_last_used(AccessKeyId=key.id))
            used_at = answer["AccessKeyLastUsed"].get("LastUsedDate")
            use = NEVER_USED if used_at is None else Use(used_at.astimezone(UTC), "known")
        except ReadError as error:
            tally.fail(error)
            return replace(key, use_reason=str(error))
        except (KeyError, AttributeError):
            tally.fail(ReadError(KEY_USE, "the answer does not say when the key was used"))
            return replace(key, use_reason=str(tally.why))
        tally.answered(1)
        item = {"AccessKeyId": key.id, "LastUsedDate": None if use.at is None else stamp(use.at)}
        self._visit.see(KEY_USE, {"AccessKeyId": key.id}, 1, (item,))
        return replace(key, use=use)


def says_the_same(slots: Sequence[ReportKey], listed: Sequence[ListedKey]) -> bool:
    """Whether the report's slots and a listing tell of the same keys: as many, of the same seconds, in the same states.

    Only then does an answer stay true for as long as the row does: a key changed since the report was written, and
    changed back before the next one, would otherwise go unnoticed.
    """
    told = [(slot.created_at, slot.active) for slot in slots if slot.created_at is not None and slot.active is not None]
    found = [(key.created_at.replace(microsecond=0), key.active) for key in listed]
    return len(told) == len(slots) and sorted(told) == sorted(found)


def _key(item: Item) -> ListedKey | None:
    native_id, status, created_at = text(item, "AccessKeyId"), text(item, "Status"), moment(item.get("CreateDate"))
    return ListedKey(native_id, status == "Active", created_at) if native_id and status and created_at is not None else None


def _decoded(answer: object) -> tuple[ListedKey, ...] | None:
    try:
        return tuple(ListedKey(str(name), active is True, instant(created)) for name, active, created in answer)  # type: ignore[attr-defined] # whatever the file holds
    except (TypeError, ValueError, AttributeError):
        return None
