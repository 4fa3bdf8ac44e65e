"""Whether a partner's contract says what it must, and whether its footprint is its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from countersign.document import shown
from countersign.register.rules import Fault, own_domains

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from countersign.register.records import Footprint, Partner, Register

RULES = {
    "contract-dates": "A contract does not end before it starts.",
    "contract-retention": "Every contract says how long evidence is kept.",
    "contract-notification": "Every contract says within what time the partner notifies.",
    "contract-evidence-access": "Every contract gives the customer direct access to evidence.",
    "footprint-clash": "An account, tenant, project, issuer, domain, name or tag is one party's.",
}
_CALLED = {
    "aws_accounts": "the AWS account",
    "entra_tenants": "the Entra tenant",
    "gcp_projects": "the Google project",
    "oidc_issuers": "the issuer",
    "certificate_authorities": "the certificate authority",
    "email_domains": "the mail domain",
    "name_patterns": "the name pattern",
    "tags": "the tag",
}
Claim = tuple[str, str]
"""Field of a footprint, and the value in the one form that all its spellings have."""
OWN = ""
"""Stands for the customer among those who claim something."""


def faults(partner: Partner, claimed: Mapping[Claim, tuple[str, ...]]) -> Iterator[Fault]:
    """Yield every broken rule of one partner; `claimed` is what `claims` says of the whole register."""
    contract = partner.contract
    if contract.ends is not None and contract.ends < contract.starts:
        yield Fault("contract-dates", "contract.ends", "is before the contract starts", "correct one of the two dates")
    if contract.evidence_retention is None:
        fix = "agree on a period and add `evidence_retention: P7Y`"
        yield Fault("contract-retention", "contract.evidence_retention", "the contract does not say how long evidence is kept", fix)
    if contract.notify_within is None:
        fix = "agree on a time and add `notify_within: PT24H`"
        yield Fault("contract-notification", "contract.notify_within", "the contract does not say when the partner must notify", fix)
    if contract.direct_evidence_access is not True:
        verb = "does not say whether the customer may read" if contract.direct_evidence_access is None else "does not let the customer read"
        fix = "agree on access and set `direct_evidence_access: true`"
        yield Fault("contract-evidence-access", "contract.direct_evidence_access", f"the contract {verb} the evidence itself", fix)
    for field, claim, value in _values(partner.footprint):
        others = [other for other in claimed[claim] if other != partner.id]
        if others:
            named = ", ".join("the customer" if other == OWN else f"partner {shown(other)}" for other in others[:5])
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""  # noqa: PLR2004 - as many as are named
            message = f"{_CALLED[claim[0]]} {shown(value)} is claimed by {named}{more} as well"
            yield Fault(
                "footprint-clash", f"footprint.{field}", message, "leave it with the one whose it is, or with nobody where two share it"
            )


def claims(register: Register) -> dict[Claim, tuple[str, ...]]:
    """Return who claims what, by footprint, the customer (`OWN`) first; where its people have their mailboxes is the customer's, too."""
    found: dict[Claim, dict[str, None]] = {("email_domains", domain): {OWN: None} for domain in own_domains(register)}
    holders = ((OWN, register.customer.footprint), *((partner.id, partner.footprint) for partner in register.partners.values()))
    for holder, footprint in holders:
        for _, claim, _ in _values(footprint):
            found.setdefault(claim, {})[holder] = None
    return {claim: tuple(holding) for claim, holding in found.items()}


def _values(footprint: Footprint) -> Iterator[tuple[str, Claim, str]]:
    """Yield each value of a footprint: its dotted field, what it claims, and how it is written."""
    for name in _CALLED:
        if name == "tags":
            # A tag's key may be any text, so no field is named after it.
            yield from (("tags", (name, f"{key}={value}"), f"{key}={value}") for key, value in footprint.tags.items())
        else:
            yield from ((f"{name}.{index}", (name, _plain(name, value)), value) for index, value in enumerate(getattr(footprint, name)))


def _plain(name: str, value: str) -> str:
    """Bring all ways to write one thing together, as the facts do when they compare parties."""
    if name in {"certificate_authorities", "aws_accounts"}:
        return value
    return re.sub(r"^https?://", "", value.strip().lower()).rstrip("/")
