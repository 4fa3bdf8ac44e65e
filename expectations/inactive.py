"""Access that nobody uses is taken away."""

from countersign.expectation import Expectation, Severity, expect

inactive = Expectation(
    id="inactive",
    title="Not used for longer than policy allows",
    why="Unused access is noticed by nobody but the one who steals it.",
    subjects=("identity", "credential"),
    population="idles",
    holds=expect("column_values_to_be_between", column="days_past_idle", max_value=0),
    reason="{activity}, {idle_days} days ago; limit {idle_limit}",
    shows=("created_at", "last_used_at", "last_used_state", "idle_days", "idle_limit_days", "track", "partner", "workload"),
    unknown_from=("enabled_why", "track_why", "credentials_why", "use_why", "created_why"),
    remedy="Ask the owner whether it is still needed; disable it first, remove it after the watch period.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "csf-2.0:PR.AA-05", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "pci-dss-4.0.1:8.2.6"),
    before="The service account `acme-import`, last used 120 days ago; the limit is 45 days.",
    after="It is disabled, or its owner has said that it is used once a year and an exception says until when.",
    example_held={"days_past_idle": 0},
    example_broken={"days_past_idle": 1},
)
