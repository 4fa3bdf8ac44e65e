"""An open finding has a ticket within the agreed time."""

from countersign.expectation import Expectation, Severity, expect

sla_escalate = Expectation(
    id="sla-escalate",
    title="An open finding has had no ticket for longer than agreed",
    why="What nobody was told of, nobody works on.",
    subjects=("finding",),
    population="must_be_escalated",
    holds=expect("column_values_to_be_between", column="hours_past_escalate", max_value=0),
    reason="no ticket tells of {late_subject} failing {late_control} since {late_since}; agreed {agreed_escalate}, over by {escalate_over}",
    shows=("late_control", "late_subject", "late_severity", "late_since", "agreed_escalate"),
    unknown_from=("terms_why", "escalate_why"),
    remedy="Mend the desk (`countersign doctor` tries it), and tell the accountable person meanwhile.",
    severity=Severity.MEDIUM,
    clock="escalate",
    maps_to=(
        "csf-2.0:GV.OV-03",
        "csf-2.0:GV.SC-09",
        "csf-2.0:RS.MA-04",
        "csf-2.0:RS.CO-02",
        "soc2:CC4.2",
        "soc2:CC7.4",
        "iso-27001:A.5.22",
        "iso-27001:A.5.26",
        "dora:30.2(e)",
        "dora:30.3(a)",
    ),
    before="A finding has stood for two days without a ticket; four hours were agreed.",
    after="Its ticket is with the accountable owner.",
    example_held={"hours_past_escalate": 0.0},
    example_broken={"hours_past_escalate": 0.5},
)
