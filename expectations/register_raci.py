"""Each life-cycle step has somebody who does it and exactly one accountable customer person."""

from countersign.expectation import Expectation, Severity, expect

register_raci = Expectation(
    id="register-raci",
    title="A life-cycle step has nobody, or nobody of ours, accountable for it",
    why="Where nobody of the customer's is accountable, the partner decides about its own access.",
    subjects=("register",),
    population="is_control_entry",
    holds=expect("column_values_to_be_between", column="register_raci_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_raci_said}",
    shows=("entry_kind", "entry", "register_raci_said"),
    unknown_from=(),
    remedy="Give each step who does it and one active person of yours as A; `countersign register check` says where.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.RR-01",
        "csf-2.0:GV.RR-02",
        "csf-2.0:GV.SC-02",
        "csf-2.0:GV.SC-05",
        "soc2:CC1.3",
        "soc2:CC9.2",
        "iso-27001:A.5.19",
        "iso-27001:A.5.20",
        "pci-dss-4.0.1:12.8.5",
        "dora:28.1(a)",
        "dora:30.2(a)",
    ),
    before="In the step `revoke` two people are accountable, so nobody is.",
    after="Maria is accountable; Devika does it and is named under R.",
    example_held={"register_raci_faults": 0},
    example_broken={"register_raci_faults": 1},
)
