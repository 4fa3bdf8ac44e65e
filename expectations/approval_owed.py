"""What was done before it was approved is approved within the agreed time.

Who acts before there is an approval owes one. Once it is there nothing is owed any more; that it came late stays in the finding's history.
"""

from countersign.expectation import Expectation, Severity, expect

approval_owed = Expectation(
    id="approval-owed",
    title="The approval that is owed for acting without one is late",
    why="Acting first is for emergencies; where nobody accountable looks at it afterwards, it becomes the way around them.",
    subjects=("finding",),
    population="must_be_approved",
    holds=expect("column_values_to_be_between", column="hours_past_approval", max_value=0),
    reason="{acted_by} acted on plan {acted_plan} without an approval on {acted_on} UTC; owed until {owed_until} UTC, over by {owed_over}",
    shows=("acted_plan", "acted_by", "acted_on", "owed_until"),
    unknown_from=(),
    remedy="Read the plan and what was done; approve it with `countersign approve`, and have what was wrong taken back.",
    severity=Severity.HIGH,
    clock="escalate",
    maps_to=(
        "csf-2.0:GV.RR-02", "csf-2.0:ID.RA-07", "csf-2.0:PR.AA-05", "csf-2.0:RS.MA-01", "soc2:CC5.3", "soc2:CC6.3", "soc2:CC7.4",
        "iso-27001:A.5.18", "iso-27001:A.5.26",
    ),
    before="Maria switched Acme's keys off at night, before anybody approved it; two days later nobody has looked at that.",
    after="Devika has read what was done, and her approval of the plan is on file.",
    example_held={"hours_past_approval": 0.0},
    example_broken={"hours_past_approval": 0.5},
)  # fmt: skip
