"""Every outside party that is trusted is a registered partner."""

from countersign.expectation import Expectation, Severity, expect

unknown_third_party = Expectation(
    id="unknown-third-party",
    title="A party that nobody registered may assume it",
    why="A trust that no contract explains is either forgotten or hostile; both look the same from here.",
    subjects=("identity",),
    population="trusted_from_outside",
    holds=expect("column_values_to_be_between", column="unknown_parties", max_value=0),
    reason="trusts {unknown_parties_told}, which is neither the customer's own nor a registered partner's",
    shows=("outside_parties", "unknown_party_names", "vendor_names", "partner", "workload"),
    unknown_from=("enabled_why", "trusts_why"),
    remedy="Find out who it is: register the partner with this footprint, or take the party out of the trust policy.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:GV.SC-04", "csf-2.0:ID.AM-04", "owasp-nhi:NHI3:2025", "soc2:CC9.2", "iso-27001:A.5.19"),
    before="The role `monitoring` may be assumed from account 999988887777, which nobody registered.",
    after="The account stands in a partner's footprint, with a contract behind it, or the trust is gone.",
    example_held={"unknown_parties": 0},
    example_broken={"unknown_parties": 1},
)
