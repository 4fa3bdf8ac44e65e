"""Two live credentials of one identity overlap only as long as a rotation needs."""

from countersign.expectation import Expectation, Severity, expect

overlap_too_long = Expectation(
    id="overlap-too-long",
    title="Old credential outlived its successor's arrival",
    why="A rotation that never retires the old key doubles what can be stolen and proves nothing was rotated.",
    subjects=("credential",),
    population="overlaps",
    holds=expect("column_values_to_be_between", column="days_past_overlap", max_value=0),
    reason="its successor {successor} came {successor_on}, {overlap_days} days ago, and both are enabled; limit {overlap_limit}",
    shows=(
        "created_at",
        "successor",
        "successor_on",
        "overlap_days",
        "overlap_limit_days",
        "last_used_at",
        "last_used_state",
        "partner",
        "workload",
    ),
    unknown_from=("enabled_why", "expiry_why", "created_why", "track_why", "overlap_why"),
    remedy="See which of the two is in use, move its users to the newer one, then disable the older one.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17"),
    before="Two keys of `acme-backup` have both been active for 40 days since the newer came; 7 days are allowed.",
    after="The older key is disabled and, after the watch period, deleted.",
    example_held={"days_past_overlap": 0},
    example_broken={"days_past_overlap": 1},
)
