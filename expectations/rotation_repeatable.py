"""Rotation is a habit: twice in two periods of the kind's limit, by the inventory and what earlier runs saw.

Judged is the newest live credential of an identity and kind; where the provider replaces the secret in place, the credential itself. A
rotation is a creation that followed an earlier one. Who is younger than two periods is not judged. Two that are known are enough; fewer
are a finding only where the evidence reaches back two periods without a gap longer than one.
"""

from countersign.expectation import Expectation, Severity, expect

rotation_repeatable = Expectation(
    id="rotation-repeatable",
    title="Rotated less than twice in two periods",
    why="A rotation that was done once is luck; one that is done again and again works on the day it is needed.",
    subjects=("credential",),
    population="should_have_rotated",
    holds=expect("column_values_to_be_between", column="rotations", min_value=2),
    reason="{rotations} of two rotations since {rotations_since}, two periods ago; limit {rotation_limit}",
    shows=("rotations", "created_at", "rotation_limit_days", "partner", "workload"),
    unknown_from=("enabled_why", "created_why", "expiry_why", "rotations_why", "track_why"),
    remedy="Rotate it by a job that runs by itself well within the limit, and let the job show that the successor is in use.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17", "pci-dss-4.0.1:8.6.3"),
    before="The key of `acme-backup` was replaced once in the last 180 days, by hand, the day before the audit.",
    after="It was replaced twice, on time each: the second one shows that the first was no accident.",
    example_held={"rotations": 2},
    example_broken={"rotations": 1},
)
