"""What is to be revoked is, within the agreed time.

By the terms that held when it began, day and night, without the pauses for which an approval was owed. It says what `countersign clocks`
says. While an exception holds, nothing has to be done.
"""

from countersign.expectation import Expectation, Severity, expect

sla_revoke = Expectation(
    id="sla-revoke",
    title="A finding is open longer than the agreed time to revoke",
    why="Access that should have ended is open, and the time that was agreed for ending it has passed.",
    subjects=("finding",),
    population="must_be_revoked",
    holds=expect("column_values_to_be_between", column="hours_past_revoke", max_value=0),
    reason="{late_control} fails for {late_subject} since {late_since} UTC; open for {revoke_after}; agreed {agreed_revoke} to revoke",
    shows=("late_control", "late_subject", "late_severity", "late_since", "agreed_revoke"),
    unknown_from=("terms_why", "end_why"),
    remedy="Revoke it now; then find out with the partner why the agreed time was missed.",
    severity=Severity.HIGH,
    clock="escalate",
    maps_to=(
        "csf-2.0:GV.OV-03",
        "csf-2.0:GV.SC-09",
        "csf-2.0:RS.MA-04",
        "csf-2.0:GV.SC-10",
        "owasp-nhi:NHI1:2025",
        "soc2:CC4.2",
        "soc2:CC7.4",
        "iso-27001:A.5.22",
        "iso-27001:A.5.26",
        "dora:30.2(e)",
        "dora:30.3(a)",
    ),
    before="Access that should end was found 30 hours ago; one hour was agreed.",
    after="The access is revoked and its end verified.",
    example_held={"hours_past_revoke": 0.0},
    example_broken={"hours_past_revoke": 0.5},
)
