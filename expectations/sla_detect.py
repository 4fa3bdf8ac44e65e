"""A finding is found by a reading that came within the agreed time after the one before.

It may be as old as the gap between the two: when it began in between, nobody can say.
"""

from countersign.expectation import Expectation, Severity, expect

sla_detect = Expectation(
    id="sla-detect",
    title="A finding may have begun longer before it was found than agreed",
    why="A night on which nobody looked is a night on which anything could begin.",
    subjects=("finding",),
    population="must_be_detected",
    holds=expect("column_values_to_be_between", column="hours_past_detect", max_value=0),
    reason="{late_control} was found for {late_subject}; its scope had not been read wholly for {unseen_for}, agreed {agreed_detect}",
    shows=("late_control", "late_subject", "late_severity", "found_at", "looked_before", "agreed_detect"),
    unknown_from=("terms_why", "detect_why"),
    remedy="Find out why the nights before were missed or incomplete (`countersign runs`), and look for what happened in between.",
    severity=Severity.MEDIUM,
    clock="escalate",
    maps_to=(
        "csf-2.0:GV.OV-03",
        "csf-2.0:GV.SC-09",
        "csf-2.0:DE.AE-02",
        "soc2:CC4.2",
        "soc2:CC7.2",
        "iso-27001:A.5.22",
        "iso-27001:A.8.16",
        "dora:30.2(e)",
    ),
    before="The scope was not read for four days; what was found then may be four days old, and one day was agreed.",
    after="Every scope is read each night, so that nothing is older than a day when it is found.",
    example_held={"hours_past_detect": 0.0},
    example_broken={"hours_past_detect": 0.5},
)
