"""What is to be rotated or put right is, within the agreed time.

The partner's time, by the terms that held when it began: business hours where the contract has them, without the pauses for which an
approval was owed. It says what `countersign clocks` says. While an exception holds, nothing has to be done.
"""

from countersign.expectation import Expectation, Severity, expect

sla_rotate = Expectation(
    id="sla-rotate",
    title="A finding is open longer than the agreed time to rotate",
    why="A service level that nobody measures is a wish.",
    subjects=("finding",),
    population="must_be_rotated",
    holds=expect("column_values_to_be_between", column="hours_past_rotate", max_value=0),
    reason="{late_control} fails for {late_subject} since {late_since} UTC; open for {rotate_after}; agreed {agreed_rotate} to rotate",
    shows=("late_control", "late_subject", "late_severity", "late_since", "agreed_rotate"),
    unknown_from=("terms_why", "end_why"),
    remedy="Have it done now, or have the accountable person accept it for a time; ask the partner why the agreed time was missed.",
    severity=Severity.MEDIUM,
    clock="escalate",
    maps_to=(
        "csf-2.0:GV.OV-03",
        "csf-2.0:GV.SC-09",
        "csf-2.0:RS.MA-04",
        "owasp-nhi:NHI7:2025",
        "soc2:CC4.2",
        "soc2:CC7.4",
        "iso-27001:A.5.22",
        "iso-27001:A.5.26",
        "dora:30.2(e)",
        "dora:30.3(a)",
    ),
    before="A key has been past its rotation date for 12 days; 7 were agreed.",
    after="The key is replaced, and the finding is resolved.",
    example_held={"hours_past_rotate": 0.0},
    example_broken={"hours_past_rotate": 0.5},
)
