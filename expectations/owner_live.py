"""The owner of a workload, or the backup owner, still works for the customer."""

from countersign.expectation import Expectation, Severity, expect

owner_live = Expectation(
    id="owner-live",
    title="Its owner and backup owner have left",
    why="A leaver cannot approve a rotation or notice misuse; the partner would be left deciding alone.",
    subjects=("identity",),
    population="in_workload",
    holds=expect("column_values_to_be_in_set", column="owner_is_live", value_set=[True]),
    reason="neither owner {owner} nor backup owner {backup_owner} of workload {workload} is an active person of the customer",
    shows=("workload", "owner", "backup_owner", "partner"),
    unknown_from=("enabled_why",),
    remedy="Name a new owner in the workload's register entry; the handover is theirs to confirm.",
    severity=Severity.HIGH,
    clock="escalate",
    maps_to=("csf-2.0:GV.RR-02", "csf-2.0:PR.AA-01", "owasp-nhi:NHI1:2025", "soc2:CC1.5", "iso-27001:A.5.2"),
    before="Workload `acme-backup` is owned by Tom, who left in May; its backup owner left before him.",
    after="Maria is its owner, Devika her backup; both are active in `register/customer.yaml`.",
    example_held={"owner_is_live": True},
    example_broken={"owner_is_live": False},
)
