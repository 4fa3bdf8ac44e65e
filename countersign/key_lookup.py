"""Which access keys are worth one more call for their id: those that may fail a control, and those a partner may hold."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from countersign.reading import KeyRow
    from countersign.register.records import Register


def needs_id(register: Register, as_of: datetime) -> Callable[[KeyRow], bool]:
    """Return the question a connector asks per key; `as_of` (UTC) is the run's.

    The answer errs to yes: it knows neither the identity's track nor whether the key is the newer of two, so it takes
    the strictest limit of all policies. A finding names a key by its id, so no key that may fail goes without.
    """
    levels = (
        *register.policies.environments.values(),
        *(p.policies for p in register.partners.values()),
        *(w.policies for w in register.workloads.values()),
    )
    stated = (policy for level in levels for policy in (level.human, level.machine) if policy is not None)
    policies = (register.policies.human, register.policies.machine, *stated)
    rotate = min((limit for p in policies if (limit := p.rotate_within.get("aws_access_key")) is not None), default=None)
    idle = min((p.max_idle for p in policies if p.max_idle is not None), default=None)
    # No access key ends by itself: where one must, or where short-lived credentials are wanted, any may fail.
    expires = any("aws_access_key" in (*(p.expiry_required or ()), *p.max_lifetime) or p.max_ttl is not None for p in policies)
    partners = (w for w in register.workloads.values() if w.partner is not None)
    names = {pattern.split("/", 1)[1] for w in partners for pattern in w.identities if pattern.startswith("aws:")}
    names |= {pattern for partner in register.partners.values() for pattern in partner.footprint.name_patterns}
    globs = tuple(sorted(name.lower() for name in names if "*" in name))
    exact = frozenset(name.lower() for name in names if "*" not in name)
    tags = frozenset(tag for partner in register.partners.values() for tag in partner.footprint.tags.items())
    domains = frozenset(domain.lower() for partner in register.partners.values() for domain in partner.footprint.email_domains)

    def answer(row: KeyRow) -> bool:
        if expires or row.several or row.created_at is None:
            return True
        if rotate is not None and as_of - row.created_at > rotate:
            return True
        if idle is not None and as_of - max(row.created_at, row.last_used_at or row.created_at) > idle:
            return True
        name = row.name.lower()
        return (
            name in exact
            or name.rpartition("@")[2] in domains
            or any(fnmatchcase(name, glob) for glob in globs)
            or any(tag in tags for tag in row.tags.items())
        )

    return answer
