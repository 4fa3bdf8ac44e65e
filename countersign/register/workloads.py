"""Whether a workload is registered wholly: owner, purpose, end, identities of its own, and reviews by those who answer for it."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from countersign.document import shown
from countersign.register.rules import Fault, customer_person, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from countersign.register.records import Register, Review, Workload

RULES = {
    "workload-owner": "Every workload is owned by an active customer person, and so is its backup.",
    "workload-purpose": "Every workload says what it is for.",
    "workload-expiry": "Every workload expires, no later than its partner's contract.",
    "workload-identities": "Every workload names identities, and none that another one names alike.",
    "workload-review": "A workload is reviewed by an active customer person who answers for it, on a day that has come.",
    "workload-environment": "A workload's environment is not a misspelling of one that has limits.",
}
_SPELLED_ALIKE = 0.9
"""Share of letters in common from which a name is taken for a misspelling of another; numbers have to be the same."""


def faults(register: Register, workload: Workload, named: Mapping[str, tuple[str, ...]], today: date) -> Iterator[Fault]:
    """Yield every broken rule of one workload; `named` is what `patterns` says of the whole register."""
    partner = register.partners.get(workload.partner or "")
    if workload.partner is not None and partner is None:
        yield unknown_name("partner", "partner", workload.partner, register.partners)
    yield from customer_person(register, "workload-owner", "owner", workload.owner, "the owner")
    if workload.backup_owner is not None:
        yield from customer_person(register, "workload-owner", "backup_owner", workload.backup_owner, "the backup owner")
    if workload.backup_owner is not None and workload.backup_owner == workload.owner:
        fix = "name somebody who answers while the owner is away, or leave it out"
        yield Fault("workload-owner", "backup_owner", f"the backup owner, {shown(workload.backup_owner)}, is the owner", fix)
    if workload.purpose is None:
        yield Fault("workload-purpose", "purpose", "it is not said what the workload is for", "add `purpose:` in a few words")
    if workload.expires is None:
        yield Fault("workload-expiry", "expires", "the workload never expires", "add `expires:` with a day up to the contract's end")
    elif partner is not None and partner.contract.ends is not None and workload.expires > partner.contract.ends:
        message = f"the workload expires on {workload.expires}, after the contract of {shown(partner.id)} ends on {partner.contract.ends}"
        yield Fault("workload-expiry", "expires", message, f"set it to {partner.contract.ends} or earlier, or renew the contract")
    yield from _identities(workload, named)
    yield from _environment(register, workload)
    yield from _reviews(register, workload, today)


def patterns(register: Register) -> dict[str, tuple[str, ...]]:
    """Return the workloads that list each pattern of identities."""
    found: dict[str, dict[str, None]] = {}
    for workload in register.workloads.values():
        for pattern in workload.identities:
            found.setdefault(pattern, {})[workload.workload] = None
    return {pattern: tuple(listing) for pattern, listing in found.items()}


def _identities(workload: Workload, named: Mapping[str, tuple[str, ...]]) -> Iterator[Fault]:
    rule = "workload-identities"
    if not workload.identities:
        yield Fault(rule, "identities", "the workload names no identities", "add `identities:`, or delete a workload that has none")
    for index, pattern in enumerate(workload.identities):
        other = next((listing for listing in named[pattern] if listing != workload.workload), None)
        if other is not None:
            message = f"{shown(pattern)} is in workload {shown(other)} as well"
            yield Fault(rule, f"identities.{index}", message, "leave it in the one whose owner answers for it")


def _environment(register: Register, workload: Workload) -> Iterator[Fault]:
    name, known = workload.environment, register.policies.environments
    close = None if name is None or name in known else next((one for one in sorted(known) if _alike(name, one)), None)
    if name is not None and close is not None:
        message = f"no environment called {shown(name)} has limits, so the general ones hold"
        fix = f"did you mean `{close}`? Else give {shown(name)} an entry of its own under policies.environments in customer.yaml"
        yield Fault("workload-environment", "environment", message, fix)


def _alike(name: str, other: str) -> bool:
    one, two = name.casefold(), other.casefold()
    return re.sub(r"\D", "", one) == re.sub(r"\D", "", two) and difflib.SequenceMatcher(None, one, two).ratio() >= _SPELLED_ALIKE


def _reviews(register: Register, workload: Workload, today: date) -> Iterator[Fault]:
    """Judge who made the latest review; earlier ones may be by people who have left since."""
    rule, answering = "workload-review", (workload.owner, workload.backup_owner)
    latest = max(workload.reviews, key=lambda review: review.on, default=None)
    for index, review in enumerate(workload.reviews):
        field = f"reviews.{index}"
        if review.on > today:
            yield Fault(rule, f"{field}.on", f"the review is dated {review.on}, which has not come", "write the day on which it was made")
        if review is latest:
            yield from _reviewer(register, rule, f"{field}.by", review, answering)
        elif review.by not in register.people:
            yield from customer_person(register, rule, f"{field}.by", review.by, "the reviewer")


def _reviewer(register: Register, rule: str, field: str, review: Review, answering: tuple[str | None, ...]) -> Iterator[Fault]:
    faults = tuple(customer_person(register, rule, field, review.by, "the reviewer"))
    yield from faults
    if not faults and review.by not in answering:
        message = f"{shown(review.by)} reviewed it and does not answer for the workload, so the review does not count"
        yield Fault(rule, field, message, "have the owner or the backup owner review it")
