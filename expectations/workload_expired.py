"""Access ends with the workload that it was given for.

All tracks: a delegation that a workload registers ends with it, too.
"""

from countersign.expectation import Expectation, Severity, expect

workload_expired = Expectation(
    id="workload-expired",
    title="Its workload has expired, the access has not",
    why="Its owner said until when it was needed, so nobody has looked after it since.",
    subjects=("identity",),
    population="workload_expires",
    holds=expect("column_values_to_be_between", column="days_past_workload", max_value=0),
    reason="workload {workload} expired {workload_expires_on}, {workload_over_days} days ago",
    shows=("workload", "workload_expires_on", "workload_over_days", "partner", "owner", "track"),
    unknown_from=("enabled_why",),
    remedy="Disable it, or have the owner register a new end, no later than the contract's, if it is still needed.",
    severity=Severity.HIGH,
    clock="revoke",
    maps_to=(
        "csf-2.0:PR.AA-01",
        "csf-2.0:ID.AM-08",
        "owasp-nhi:NHI1:2025",
        "soc2:CC6.2",
        "soc2:CC6.3",
        "iso-27001:A.5.18",
        "pci-dss-4.0.1:8.2.7",
    ),
    before="Workload `corvid-migration` was agreed until 2026-08-31; its service account is still enabled.",
    after="The account is disabled; or the owner agreed to a new end, within the contract.",
    example_held={"days_past_workload": 0},
    example_broken={"days_past_workload": 0.1},
)
