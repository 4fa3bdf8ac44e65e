"""A contract says how long evidence is kept, when the partner notifies, and that the customer may read the evidence itself."""

from countersign.expectation import Expectation, Severity, expect

register_contract = Expectation(
    id="register-contract",
    title="A contract leaves out what an incident would need",
    why="What a contract does not promise, the partner need not give on the day it matters.",
    subjects=("register",),
    population="is_partner_entry",
    holds=expect("column_values_to_be_between", column="register_contract_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_contract_said}",
    shows=("entry_kind", "entry", "register_contract_said", "partner"),
    unknown_from=(),
    remedy="Agree on it at the next renewal at the latest, and write it under `contract`; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.SC-05",
        "csf-2.0:GV.SC-08",
        "csf-2.0:RS.CO-02",
        "soc2:CC9.2",
        "iso-27001:A.5.20",
        "iso-27001:A.5.24",
        "dora:30.2(f)",
        "dora:30.3(b)",
    ),
    before="The contract with Corvid does not say how long evidence is kept.",
    after="`evidence_retention: P7Y` is agreed and written down.",
    example_held={"register_contract_faults": 0},
    example_broken={"register_contract_faults": 1},
)
