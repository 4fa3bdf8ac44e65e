"""A credential that has expired is removed, not left lying on its identity."""

from countersign.expectation import Expectation, Severity, expect

expired_but_enabled = Expectation(
    id="expired-but-enabled",
    title="Credential has expired and is still enabled",
    why="An expired credential that is left on its identity shows that nobody watches its end; the next one is renewed by habit.",
    subjects=("credential",),
    population="expires",
    holds=expect("column_values_to_be_between", column="days_past_expiry", max_value=0),
    reason="expired {expires_on}, {expired_days} days ago, and still enabled",
    shows=("expires_at", "expired_days", "created_at", "partner", "workload"),
    unknown_from=("enabled_why", "expiry_why"),
    remedy="Remove the credential; if its workload still runs, find out what it authenticates with.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "iso-27001:A.5.18"),
    before="A Google key past its end in policy, still enabled: whoever sets the clock of a check lets it in.",
    after="The key is disabled, then deleted.",
    example_held={"days_past_expiry": -1},
    example_broken={"days_past_expiry": 1},
)
