"""Who is an administrator and who can become one: listed rules per provider, each with its reason and its source.

`administrator` may do everything in the scope, or give everything to whom it likes. `escalation` may not, but can become
one by what it may do. `limited` is what no listed rule raises. Unknown is a power of None: what is allowed was not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from countersign.identity import Power


@dataclass(frozen=True, slots=True)
class Rule:
    """One way to be, or to become, an administrator."""

    id: str
    """`<provider>-<what>`, as findings and docs/privileges.md show it."""
    power: Power
    what: str
    """Why it is so, in one plain sentence."""
    source: str
    """Where the provider says so: the name of its page or of its model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a role, policy or set of permissions makes of its holder."""

    power: Power | None
    rule: str | None = None
    """Id of the rule that decided; None where power is `limited` or None."""


LIMITED = Verdict("limited")
UNREAD = Verdict(None)
STRENGTH = {"administrator": 3, "escalation": 2, None: 1, "limited": 0}
"""How much each power matters: unknown matters more than limited."""


def strongest(verdicts: Iterable[Verdict]) -> Verdict:
    """Give the one that matters most; unknown matters more than limited. `LIMITED` where there is none."""
    return max(verdicts, key=lambda verdict: STRENGTH[verdict.power], default=LIMITED)


def given_by(rule: Rule) -> Verdict:
    """Give the verdict of a rule that applies."""
    return Verdict(rule.power, rule.id)
