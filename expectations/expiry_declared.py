"""A workload says when it ends, and ends no later than its contract."""

from countersign.expectation import Expectation, Severity, expect

expiry_declared = Expectation(
    id="expiry-declared",
    title="Its workload has no end, or outlives the contract",
    why="Access that outlives the contract is access that nobody is paid to protect.",
    subjects=("identity",),
    population="in_workload",
    holds=expect("column_values_to_be_in_set", column="expiry_is_declared", value_set=[True]),
    reason="workload {workload} ends {workload_expires_on}; the contract of {partner} ends {contract_ends_on}",
    shows=("workload", "workload_expires_on", "partner", "contract_ends_on"),
    unknown_from=("enabled_why",),
    remedy="Set `expires` in the workload's register entry to a date no later than the contract's end.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "csf-2.0:ID.AM-08", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "pci-dss-4.0.1:8.2.7"),
    before="Workload `acme-etl` expires on 2027-12-31; Acme's contract ends on 2027-01-31.",
    after="The workload ends with the contract, or the contract was renewed first.",
    example_held={"expiry_is_declared": True},
    example_broken={"expiry_is_declared": False},
)
