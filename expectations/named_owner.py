"""Every machine or partner identity has a person of the customer who answers for it."""

from countersign.expectation import Expectation, Severity, expect

named_owner = Expectation(
    id="named-owner",
    title="Nobody at the customer answers for this identity",
    why="An identity without an accountable person is rotated, reviewed and revoked by nobody.",
    subjects=("identity",),
    population="needs_owner",
    holds=expect("column_values_to_be_in_set", column="has_named_owner", value_set=[True]),
    reason="no registered workload names a person of the customer as its owner",
    shows=("track", "partner", "partner_how", "workload", "owner_claim"),
    unknown_from=("enabled_why", "track_why", "partner_why"),
    remedy="Register the workload it serves with an owner and a backup owner from the customer's people, or remove the identity.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:GV.RR-02", "csf-2.0:GV.SC-02", "owasp-nhi:NHI1:2025", "soc2:CC1.3", "iso-27001:A.5.9"),
    before="The role `acme-deploy` has a tag `owner=pavel` and no workload: Pavel is Acme's, and nobody at Northwind answers for it.",
    after="The register's workload `acme-deploy` lists the role, with Maria as its owner.",
    example_held={"has_named_owner": True},
    example_broken={"has_named_owner": False},
)
