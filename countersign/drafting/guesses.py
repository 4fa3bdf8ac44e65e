"""Who could own what was found, and why: from what each identity says itself to, last of all, who owns the control; all pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.drafting.people import People, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from countersign.drafting.found import Found
    from countersign.drafting.grouping import Group
    from countersign.register.records import Register

_LAST_RESORT = ("workload-registered", "named-owner")
"""Controls whose business owner is asked where nothing else points to anybody."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A value with what speaks for it."""

    value: str | None
    """None: nothing speaks for any."""
    why: str


class Owners:
    """Guesses owners; a partner's or a leaver's name is never one, and is passed on as a hint."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._people = People(register)
        self._claims: dict[str, str | None] = {}

    def said(self, one: Found) -> Guess:
        """Return the owner that evidence on one identity names: its owner tag, who made it, or a person in its name."""
        if one.owner_claim is not None:
            person = self._meant(one.owner_claim)
            if person is not None:
                return Guess(person, f"{_claim(one)} on {one.uid}")
        if one.creator is not None:
            person = self._meant(one.creator) or self._meant(one.creator.rpartition("/")[2])
            if person is not None:
                return Guess(person, f"{one.creator} made {one.uid}")
        if one.track == "machine":
            person = self._people.in_name(words(one.name[:200]))
            if person is not None:
                return Guess(person, f"the name of {one.uid}")
        return Guess(None, "")

    def hints(self, members: Iterable[Found]) -> tuple[str, ...]:
        """Say which owners are claimed that cannot be owners, and why not."""
        claimed: Counter[str] = Counter()
        for one in members:
            if one.owner_claim is not None and self._meant(one.owner_claim) is None:
                claimed[f"{_claim(one)}: {self._people.why_not(one.owner_claim)}"] += 1
        return tuple(hint for hint, _ in claimed.most_common(3))

    def of(self, group: Group, members: Sequence[Found], said: Sequence[Guess], others: Mapping[str | None, Counter[str]]) -> Guess:
        """Return the owner of a group. `said`: what each member says itself; `others`: partner to owners of its other drafts."""
        if group.owner is not None:
            evidence = [guess.why for guess in said if guess.value == group.owner]
            if not evidence:
                return Guess(group.owner, "evidence on others that look like the same use")
            more = "" if len(evidence) == 1 else f", and {len(evidence) - 1} more of {len(members)}"
            return Guess(group.owner, evidence[0] + more)
        if group.partner is not None:
            registered = Counter(
                entry.owner for entry in self._register.workloads.values() if entry.partner == group.partner and self._live(entry.owner)
            )
            for owners, where in ((registered, "registered workloads"), (others.get(group.partner, Counter()), "other drafts")):
                if owners:
                    owner, count = max(owners.items(), key=lambda item: (item[1], str(item[0])))
                    return Guess(owner, f"owner of {count} of {group.partner}'s {sum(owners.values())} {where}")
        for control_id in _LAST_RESORT:
            control = self._register.control(control_id)
            if control is not None and self._live(control.owners.business):
                return Guess(control.owners.business, f"last resort: nothing names anybody; business owner of {control_id}")
        return Guess(None, "nothing names an active person of the customer's")

    def _live(self, ref: str | None) -> bool:
        return self._register.live(ref) is not None

    def _meant(self, claim: str) -> str | None:
        if claim not in self._claims:
            self._claims[claim] = self._people.meant(claim[:500])
        return self._claims[claim]


def purpose_of(members: Sequence[Found]) -> Guess:
    """Return what the identities of one use say that they are for: up to three different texts, the most frequent first."""
    counted: dict[str, list[Found]] = {}
    for one in members:
        if one.purpose is not None:
            counted.setdefault(" ".join(one.purpose.split()), []).append(one)
    if not counted:
        return Guess(None, f"none of {len(members)} says" if len(members) > 1 else "it does not say")
    ranked = sorted(counted.items(), key=lambda item: (-len(item[1]), item[0]))[:3]
    more = len(counted) - len(ranked)
    speakers = sum(len(told) for told in counted.values())
    why = f"said of itself by {ranked[0][1][0].uid}" + (f", {speakers} of {len(members)} say something" if len(members) > 1 else "")
    return Guess("; ".join(text[:200] for text, _ in ranked), why + (f"; {more} more left out" if more else ""))


def _claim(one: Found) -> str:
    key = next((key for key, value in one.tags.items() if value == one.owner_claim), None)
    return f"owner claim {one.owner_claim}" if key is None else f"tag {key}={one.owner_claim}"
