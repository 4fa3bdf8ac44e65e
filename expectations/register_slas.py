"""Each control has service levels to detect, escalate, rotate and revoke."""

from countersign.expectation import Expectation, Severity, expect

register_slas = Expectation(
    id="register-slas",
    title="A control has no service level for one of its clocks",
    why="Where no time was agreed, nothing is ever late.",
    subjects=("register",),
    population="is_control_entry",
    holds=expect("column_values_to_be_between", column="register_slas_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_slas_said}",
    shows=("entry_kind", "entry", "register_slas_said"),
    unknown_from=(),
    remedy="Agree on the four durations and write them under `slas`; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:GV.OV-03", "csf-2.0:GV.SC-05", "soc2:CC4.2", "iso-27001:A.5.22", "dora:30.2(e)"),
    before="The control says how fast to rotate, and not how fast to revoke.",
    after="All four times are agreed: detect, escalate, rotate, revoke.",
    example_held={"register_slas_faults": 0},
    example_broken={"register_slas_faults": 1},
)
