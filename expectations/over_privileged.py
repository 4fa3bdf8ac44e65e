"""No machine identity and no partner's person is an administrator."""

from countersign.expectation import Expectation, Severity, expect

over_privileged = Expectation(
    id="over-privileged",
    title="A machine or a partner is an administrator, or can become one",
    why="Whoever takes this identity takes everything, and can remove the traces.",
    subjects=("identity",),
    population="must_be_limited",
    holds=expect("column_values_to_be_between", column="admin_grants", max_value=0),
    reason="{admin_power} through {admin_roles}",
    shows=("admin_power", "admin_grants", "admin_roles", "track", "partner", "workload"),
    unknown_from=("enabled_why", "track_why", "partner_why", "grants_why"),
    remedy="Replace the administrator policy by one for what the workload does; keep administration with the customer's own people.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-05", "owasp-nhi:NHI5:2025", "soc2:CC6.3", "iso-27001:A.8.2", "pci-dss-4.0.1:7.2.5"),
    before="The role `acme-support` has `AdministratorAccess`.",
    after="It has a policy with the calls that support needs; nothing in it lets it give itself more.",
    example_held={"admin_grants": 0},
    example_broken={"admin_grants": 1},
)
