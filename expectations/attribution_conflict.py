"""All evidence for whose an identity is says the same."""

from countersign.expectation import Expectation, Severity, expect

attribution_conflict = Expectation(
    id="attribution-conflict",
    title="It is in dispute whose it is",
    why="With two partners in question the wrong one is asked, and the wrong one's contract decides when its access ends.",
    subjects=("identity",),
    population="has_evidence",
    holds=expect("column_values_to_be_in_set", column="evidence_agrees", value_set=[True]),
    reason="the evidence disagrees, strongest first: {partner_evidence}",
    shows=("partner", "partner_evidence", "workload", "created_by"),
    unknown_from=("enabled_why", "evidence_why"),
    remedy="Find out who uses it; then correct the tag, take the other party out of the trust, or register it for the right partner.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:GV.SC-04", "csf-2.0:ID.AM-04", "soc2:CC9.2", "iso-27001:A.5.9"),
    before="The role `reporting` trusts Acme's account and bears the tag `partner=brightpath`.",
    after="The tag says `acme`, or the trust is gone: all evidence names one partner.",
    example_held={"evidence_agrees": True},
    example_broken={"evidence_agrees": False},
)
