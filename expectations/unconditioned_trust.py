"""Whoever may assume an identity from outside is held to a condition."""

from countersign.expectation import Expectation, Severity, expect

unconditioned_trust = Expectation(
    id="unconditioned-trust",
    title="An outside party may assume it without any condition",
    why="Without an ExternalId, subject or audience condition, anyone whom that party serves can be talked into using your role.",
    subjects=("identity",),
    population="trusted_from_outside",
    holds=expect("column_values_to_be_between", column="unconditioned_trusts", max_value=0),
    reason="{unconditioned_parties} may act as it, and nothing narrows that (no ExternalId, subject, audience or the like)",
    shows=("outside_parties", "unconditioned_parties", "partner", "workload"),
    unknown_from=("enabled_why", "trusts_why"),
    remedy="Narrow it to whom it is meant for, by sts:ExternalId, the token's subject and audience, or a provider's condition; "
    "replace a key that was exposed.",
    severity=Severity.CRITICAL,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-03", "csf-2.0:PR.AA-05", "owasp-nhi:NHI4:2025", "soc2:CC6.1", "iso-27001:A.8.5"),
    before="The role `acme-operations` may be assumed by anybody in account 111122223333.",
    after="Its trust demands the external id that only Northwind and Acme know, or names one role of Acme's and its subject.",
    example_held={"unconditioned_trusts": 0},
    example_broken={"unconditioned_trusts": 1},
)
