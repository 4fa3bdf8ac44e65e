"""A partner's principal holds the same access in several places only where each of them is registered."""

from countersign.expectation import Expectation, Severity, expect

replicated_access = Expectation(
    id="replicated-access",
    title="A copy of a partner's access in another place that nobody registered",
    why="Whoever breaks into the partner once gets into every place that has a copy.",
    subjects=("identity",),
    population="from_partner",
    holds=expect("column_values_to_be_in_set", column="is_stray_copy", value_set=[False]),
    reason="one of {copy_count} copies, each with {copy_roles}, in {copy_scopes}; no workload in the register lists this one",
    shows=("partner", "copy_scopes", "copy_roles", "created_at"),
    unknown_from=("enabled_why", "partner_why", "grants_why", "copies_why"),
    remedy="Register the places in which the partner works, each with its owner and end, and remove its access from the others.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=(
        "csf-2.0:PR.AA-05",
        "csf-2.0:GV.SC-07",
        "owasp-nhi:NHI8:2025",
        "owasp-nhi:NHI9:2025",
        "soc2:CC6.1",
        "soc2:CC9.2",
        "iso-27001:A.5.19",
    ),
    before="One app of Acme's holds the same two roles in five subscriptions; its workload was agreed for one.",
    after="The four others are removed, or the workload's entry names them and its owner agreed.",
    example_held={"is_stray_copy": False},
    example_broken={"is_stray_copy": True},
)
