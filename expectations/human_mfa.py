"""A person who can log in does so with a second factor."""

from countersign.expectation import Expectation, Severity, expect

human_mfa = Expectation(
    id="human-mfa",
    title="A person logs in without MFA",
    why="A password alone is phished in an afternoon, and then the partner's person is somebody else.",
    subjects=("identity",),
    population="must_have_mfa",
    holds=expect("column_values_to_be_in_set", column="mfa", value_set=[True]),
    reason="can log in to the console and has no MFA device",
    shows=("console", "mfa", "track", "partner", "workload"),
    unknown_from=("enabled_why", "console_why", "track_why", "mfa_why"),
    remedy="Have the person register an MFA device, or take the password away.",
    severity=Severity.CRITICAL,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-03", "owasp-nhi:NHI4:2025", "soc2:CC6.1", "iso-27001:A.8.5", "pci-dss-4.0.1:8.4.2"),
    before="Ana logs in to the console with a password alone.",
    after="Ana's log-in asks for a second factor.",
    example_held={"mfa": True},
    example_broken={"mfa": False},
)
