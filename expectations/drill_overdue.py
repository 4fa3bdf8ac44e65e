"""The paths that nobody uses every day are exercised within their period."""

from countersign.expectation import Expectation, Severity, expect

drill_overdue = Expectation(
    id="drill-overdue",
    title="A path for remediation or exceptions has not been exercised within its period",
    why="A path that nobody has walked may lead nowhere on the day it is needed.",
    subjects=("finding",),
    population="must_be_drilled",
    holds=expect("column_values_to_be_between", column="days_past_drill", max_value=0),
    reason="the path of {drill_path} was exercised {drilled}; agreed every {agreed_drill}, over by {drill_over}",
    shows=("drill_path", "drilled", "agreed_drill"),
    unknown_from=(),
    remedy="Exercise the path, on an identity made for it, and mend what does not work.",
    severity=Severity.MEDIUM,
    clock="escalate",
    maps_to=("csf-2.0:ID.IM-02", "csf-2.0:RS.MA-01", "csf-2.0:GV.SC-08", "soc2:CC7.5", "iso-27001:A.5.24", "iso-27001:A.5.29"),
    before="Nobody has tried to revoke anything on purpose for 200 days; 90 were agreed.",
    after="A drill was run to its end, and its times are in the evidence.",
    example_held={"days_past_drill": 0.0},
    example_broken={"days_past_drill": 0.5},
)
