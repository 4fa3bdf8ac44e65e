"""What marks an identity as somebody's is claimed by one party only."""

from countersign.expectation import Expectation, Severity, expect

register_footprint = Expectation(
    id="register-footprint",
    title="Two parties claim the same account, tenant, issuer, domain, name or tag",
    why="What two claim can be attributed to neither, so the wrong one is asked, or offboarded.",
    subjects=("register",),
    population="is_partner_entry",
    holds=expect("column_values_to_be_between", column="register_footprint_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_footprint_said}",
    shows=("entry_kind", "entry", "register_footprint_said", "partner"),
    unknown_from=(),
    remedy="Leave it with the one whose it is; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.SC-04",
        "csf-2.0:ID.AM-04",
        "soc2:CC9.2",
        "iso-27001:A.5.19",
        "iso-27001:A.5.21",
        "pci-dss-4.0.1:12.8.1",
        "dora:28.3",
    ),
    before="Two partners claim account 111122223333: whose its identities are is a matter of luck.",
    after="One partner's footprint has it.",
    example_held={"register_footprint_faults": 0},
    example_broken={"register_footprint_faults": 1},
)
