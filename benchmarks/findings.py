"""The estate of the ticket benchmarks, by arithmetic: findings of 20 partners, and the tickets that they must come to."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.estate import AS_OF
from countersign.finding import Failing, fingerprint
from countersign.remediation import ALL, key

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMER = "bench"
PROVIDER, SCOPE = "aws", "444455556666"
PARTNERS, OWNERS_EACH, PEOPLE = 20, 3, 24
CONTROLS = (
    "rotation-age", "inactive", "named-owner", "over-privileged", "lifetime-too-long", "static-where-federation", "unknown-third-party",
    "workload-registered",
)  # fmt: skip
GROUPS = 469
"""Tickets for what is not critical: what grouping made of 10,000 findings in the simulation that the design was judged by."""
CRITICAL_EVERY = 1000
CHANGES_EVERY = 100
LOGINS = {f"person{number:02d}": f"bench-person{number:02d}" for number in range(PEOPLE)}
"""Accountable people, and what they are called at the tracker."""
SPAN = timedelta(days=30)


def failing(count: int, night: int, changed: int) -> Iterator[Failing]:
    """Yield what fails; `changed` of each `CHANGES_EVERY` have other facts than on the first night. Ages in reasons move every night."""
    for number in range(count):
        control, partner, owner, subject = place(number, count)
        facts = night if number % CHANGES_EVERY < changed else 0
        yield Failing(
            fingerprint=fingerprint(control, subject), control=control, subject=subject, subject_kind="credential",
            identity=f"{PROVIDER}:{SCOPE}:user/AIDABENCH{number:08d}", identity_name=f"{partner}-job-{number}", provider=PROVIDER,
            scope=SCOPE, partner=partner, accountable=owner, severity="critical" if critical(number) else "high",
            reason=f"is {400 + number % 300 + night} days old, and 90 are allowed", facts_digest=f"{number}.{facts}", due=AS_OF + SPAN,
        )  # fmt: skip


def place(number: int, count: int) -> tuple[str, str, str, str]:
    """Return control, partner, owner and subject of a finding. The first groups are large, the last ones small, as on real estates."""
    group = GROUPS * number * number // (count * count)
    partner = group % PARTNERS
    owner = f"person{(partner + group // PARTNERS % OWNERS_EACH) % PEOPLE:02d}"
    control = CONTROLS[group // (PARTNERS * OWNERS_EACH)]
    return control, f"p{partner:02d}", owner, f"{PROVIDER}:{SCOPE}:access-key/AKIABENCH{number:08d}"


def critical(number: int) -> bool:
    """Whether a finding is critical, and so has a ticket of its own."""
    return number % CRITICAL_EVERY == CRITICAL_EVERY // 2


def key_of(number: int, count: int) -> str:
    """Return the key of the ticket that carries a finding."""
    control, partner, owner, subject = place(number, count)
    return key(CUSTOMER, control, partner, owner, subject if critical(number) else ALL)


def keys(count: int, changed: int = CHANGES_EVERY) -> set[str]:
    """Return the keys of all tickets, or of those with a finding that changed."""
    return {key_of(number, count) for number in range(count) if number % CHANGES_EVERY < changed}
