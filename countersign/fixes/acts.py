"""Which act puts each control right, and what is said of an act where no fix is written for the kind of subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from countersign.fixes.filling import Fix

if TYPE_CHECKING:
    from collections.abc import Mapping

Act = Literal[
    "add-condition", "block-console", "bound", "disable", "federate", "free-person", "register", "remove-rights", "remove-trust",
    "require-mfa", "rotate", "share-administration", "trace",
]  # fmt: skip
"""What is done at the provider, or `register`: nothing is done there.

`bound` replaces a credential by one that ends, `federate` by none at all, `free-person` gives a program an identity of its own,
`trace` switches off what was used and looks who used it.
"""
ACTS: Mapping[str, Act] = {
    "approval-owed": "register",
    "attribution-conflict": "register",
    "contract-ended": "disable",
    "credential-expiry": "bound",
    "derived-identity": "register",
    "drill-overdue": "register",
    "exception-invalid": "register",
    "expired-but-enabled": "disable",
    "expiry-declared": "register",
    "human-mfa": "require-mfa",
    "human-unattended": "free-person",
    "inactive": "disable",
    "incident-open": "disable",
    "lifetime-too-long": "bound",
    "machine-console": "block-console",
    "named-owner": "register",
    "over-privileged": "remove-rights",
    "overlap-too-long": "disable",
    "own-identities": "register",
    "owner-live": "register",
    "purpose-declared": "register",
    "register-answers": "register",
    "register-contract": "register",
    "register-footprint": "register",
    "register-names": "register",
    "register-owners": "register",
    "register-policy": "register",
    "register-raci": "register",
    "register-slas": "register",
    "register-workload": "register",
    "replicated-access": "register",
    "review-overdue": "register",
    "rotation-age": "rotate",
    "rotation-repeatable": "rotate",
    "sla-detect": "register",
    "sla-escalate": "register",
    "sla-revoke": "register",
    "sla-rotate": "register",
    "sole-administrator": "share-administration",
    "source-unobserved": "register",
    "static-where-federation": "federate",
    "unconditioned-trust": "add-condition",
    "unknown-third-party": "remove-trust",
    "used-after-end": "trace",
    "workload-expired": "disable",
    "workload-registered": "register",
}
"""Control to act."""
INSTEAD: Mapping[Act, Act] = {
    "add-condition": "remove-trust",
    "bound": "rotate",
    "federate": "disable",
    "remove-rights": "disable",
    "remove-trust": "disable",
    "trace": "disable",
}
"""The act that does as well for a kind that has no fix of its own for the first: what cannot be narrowed is taken away."""
AT_LEAST: Mapping[Act, Fix] = {
    "add-condition": Fix(says="Name in its trust, at the provider, exactly who may come.", console=None, commands=()),
    "block-console": Fix(says="Take its interactive login away at the provider; its programs need none.", console=None, commands=()),
    "bound": Fix(says="Issue one that ends within the limit, move its users, and end this one.", console=None, commands=()),
    "disable": Fix(
        says="Switch it off at the provider, watch whether anybody misses it, and only then delete it.", console=None, commands=()
    ),
    "federate": Fix(
        says="Move its users to a login without a stored secret, switch it off, and delete it later.", console=None, commands=()
    ),
    "free-person": Fix(
        says="Give the program a machine identity, then switch off the credentials that it used.", console=None, commands=()
    ),
    "remove-rights": Fix(says="Replace its role by one for what its work needs.", console=None, commands=()),
    "remove-trust": Fix(says="Take the party out of its trust at the provider.", console=None, commands=()),
    "require-mfa": Fix(says="Demand a second factor of it where it logs in.", console=None, commands=()),
    "rotate": Fix(says="Issue a new one, move its users, switch this one off, and delete it later.", console=None, commands=()),
    "share-administration": Fix(says="Make a person of yours an administrator of it.", console=None, commands=()),
    "trace": Fix(says="Switch it off, and find out in the provider's log who used it.", console=None, commands=()),
}
"""What holds for every kind."""
