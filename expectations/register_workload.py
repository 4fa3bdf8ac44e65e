"""A workload has a live owner, a purpose, an end within its contract, and identities of its own."""

from countersign.expectation import Expectation, Severity, expect

register_workload = Expectation(
    id="register-workload",
    title="A workload is registered with holes",
    why="A registration with holes only looks like one: nobody answers, and nothing ends.",
    subjects=("register",),
    population="is_workload_entry",
    holds=expect("column_values_to_be_between", column="register_workload_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_workload_said}",
    shows=("entry_kind", "entry", "register_workload_said", "partner"),
    unknown_from=(),
    remedy="Complete the workload's entry; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=(
        "csf-2.0:PR.AA-01",
        "csf-2.0:ID.AM-08",
        "csf-2.0:GV.SC-04",
        "owasp-nhi:NHI1:2025",
        "soc2:CC6.2",
        "iso-27001:A.5.16",
        "pci-dss-4.0.1:7.2.5",
    ),
    before="A workload is owned by `acme/pavel`.",
    after="Maria owns it; Pavel operates it.",
    example_held={"register_workload_faults": 0},
    example_broken={"register_workload_faults": 1},
)
