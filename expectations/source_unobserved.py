"""Every scope that should be read was read, wholly."""

from countersign.expectation import Expectation, Severity, expect

source_unobserved = Expectation(
    id="source-unobserved",
    title="A scope was not read, wholly or in part",
    why="What is not seen is not safe; it is only not seen.",
    subjects=("scope",),
    population="was_expected",
    holds=expect("column_values_to_be_in_set", column="fully_read", value_set=[True]),
    reason="{reading}: {reading_reason}",
    shows=("reading", "reading_reason"),
    unknown_from=(),
    remedy="Give the reader the permission that the reason names, or mend the connection; `countersign doctor` tries each call.",
    severity=Severity.HIGH,
    clock="escalate",
    maps_to=("csf-2.0:DE.CM-06", "csf-2.0:DE.CM-09", "soc2:CC7.2", "iso-27001:A.8.16"),
    before="Account 444455556666 refused `iam:ListUsers` tonight: what happened there is not known.",
    after="The reader has the permission again, and the night after reads everything.",
    example_held={"fully_read": True},
    example_broken={"fully_read": False},
)
