"""An exception is approved by somebody accountable, other than who asked for it, and has not ended."""

from countersign.expectation import Expectation, Severity, expect

exception_invalid = Expectation(
    id="exception-invalid",
    title="An exception does not hold",
    why="An exception that nobody entitled gave, or that has ended, excepts nothing; whoever relies on it is at risk and does not know.",
    subjects=("register",),
    population="is_exception",
    holds=expect("column_values_to_be_between", column="exception_invalid_faults", max_value=0),
    reason="{entry_kind} {entry}: {exception_invalid_said}",
    shows=("entry_kind", "entry", "exception_invalid_said", "partner"),
    unknown_from=(),
    remedy="Mend what the finding was excepted from, or have the exception renewed by somebody accountable with `countersign exception`.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:ID.RA-07", "csf-2.0:ID.RA-06", "soc2:CC5.3", "iso-27001:A.5.36", "pci-dss-4.0.1:8.2.2"),
    before="An exception for an old key was approved by the one who asked for it.",
    after="Maria approved it, who is accountable for the control and did not ask.",
    example_held={"exception_invalid_faults": 0},
    example_broken={"exception_invalid_faults": 1},
)
