"""A partner's access ends with its contract."""

from countersign.expectation import Expectation, Severity, expect

contract_ended = Expectation(
    id="contract-ended",
    title="The contract is over, the access is not",
    why="After the contract nobody at the partner owes you care, and everybody there who knew the key still does.",
    subjects=("identity",),
    population="under_contract",
    holds=expect("column_values_to_be_between", column="days_past_contract", max_value=0),
    reason="the contract of {partner} ended {contract_ends_on}, {contract_over_days} days ago; attributed by: {partner_how}",
    shows=("partner", "partner_how", "contract_ends_on", "contract_over_days", "workload", "track"),
    unknown_from=("enabled_why", "partner_why"),
    remedy="Disable it now; then offboard the partner so that nothing else of theirs is left.",
    severity=Severity.CRITICAL,
    clock="revoke",
    maps_to=("csf-2.0:GV.SC-10", "csf-2.0:PR.AA-01", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "iso-27001:A.5.18", "dora:28.8"),
    before="The contract with Brightpath ended 140 days ago; six of its identities are still enabled.",
    after="They are disabled, and then removed; or a new contract is in the register.",
    example_held={"days_past_contract": -1},
    example_broken={"days_past_contract": 1},
)
