"""Whoever answers for a workload looks at its access within the period of its track.

People and machines have a period each. A delegation is on no track that has one: it is reviewed with the workload's other identities.
"""

from countersign.expectation import Expectation, Severity, expect

review_overdue = Expectation(
    id="review-overdue",
    title="Its access has not been reviewed in time",
    why="Without a look at it, access only ever grows, and what is no longer needed stays.",
    subjects=("identity",),
    population="must_be_reviewed",
    holds=expect("column_values_to_be_between", column="days_past_review", max_value=0),
    reason="workload {workload}: {review}; limit {review_limit_days} days",
    shows=("workload", "owner", "backup_owner", "review", "review_limit_days", "track", "partner"),
    unknown_from=("enabled_why", "track_why", "created_why"),
    remedy="Have the owner go through what its identities hold, take away what is not needed, and enter the review in the register.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-05", "owasp-nhi:NHI5:2025", "soc2:CC6.2", "soc2:CC6.3", "iso-27001:A.5.18", "pci-dss-4.0.1:7.2.5.1"),
    before="Maria last looked at the access of `acme-backup` 300 days ago; policy says every 180 days.",
    after="Maria looked at it, and the workload's `reviews` say so with the day and her name.",
    example_held={"days_past_review": 0},
    example_broken={"days_past_review": 0.1},
)
