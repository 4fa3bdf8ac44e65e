"""A credential of a kind that can end by itself does."""

from countersign.expectation import Expectation, Severity, expect

credential_expiry = Expectation(
    id="credential-expiry",
    title="Credential never expires",
    why="A secret without an end works for whoever holds it, long after the people have changed.",
    subjects=("credential",),
    population="must_expire",
    holds=expect("column_values_to_be_in_set", column="has_expiry", value_set=[True]),
    reason="has no expiry; policy demands one for its kind",
    shows=("created_at", "expires_at", "partner", "workload"),
    unknown_from=("enabled_why", "expiry_why", "track_why"),
    remedy="Issue a new credential with an expiry within policy, move its users, and destroy this one.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "csf-2.0:PR.AA-03", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17"),
    before="A client secret of `payroll-sync` that never expires, where policy demands an end.",
    after="A secret that ends in 180 days, or no secret at all but a federated credential.",
    example_held={"has_expiry": True},
    example_broken={"has_expiry": False},
)
