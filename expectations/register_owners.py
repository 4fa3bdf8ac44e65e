"""Each control has three live owners and somebody to fall back on."""

from countersign.expectation import Expectation, Severity, expect

register_owners = Expectation(
    id="register-owners",
    title="A control lacks an owner who can act",
    why="A control that nobody owns is kept by chance, and nobody notices when it is not.",
    subjects=("register",),
    population="is_control_entry",
    holds=expect("column_values_to_be_between", column="register_owners_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_owners_said}",
    shows=("entry_kind", "entry", "register_owners_said"),
    unknown_from=(),
    remedy="Name an active person for each owner and the fallback; `countersign register check` says where.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.RR-02",
        "csf-2.0:GV.SC-02",
        "owasp-nhi:NHI1:2025",
        "soc2:CC1.3",
        "soc2:CC1.5",
        "iso-27001:A.5.2",
        "iso-27001:A.5.9",
        "dora:5.2(a)",
    ),
    before="The control `rotation-age` has a business owner who left, and no fallback.",
    after="Three layers of owners and a fallback are named, and all of Northwind's people among them are active.",
    example_held={"register_owners_faults": 0},
    example_broken={"register_owners_faults": 1},
)
