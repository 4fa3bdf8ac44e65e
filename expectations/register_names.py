"""Everybody and everything that the register names is there, and is one thing."""

from countersign.expectation import Expectation, Severity, expect

register_names = Expectation(
    id="register-names",
    title="The register names what is not there, or contradicts itself",
    why="A name that nobody bears answers for nothing, and a name that two bear lets each think it is the other.",
    subjects=("register",),
    population="is_entry",
    holds=expect("column_values_to_be_between", column="register_names_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_names_said}",
    shows=("entry_kind", "entry", "register_names_said"),
    unknown_from=(),
    remedy="Correct the entry; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=("csf-2.0:GV.RR-02", "csf-2.0:GV.SC-04", "soc2:CC1.3", "iso-27001:A.5.2"),
    before="A control names `marai` as its owner; nobody of that name is in the register.",
    after="It names `maria`.",
    example_held={"register_names_faults": 0},
    example_broken={"register_names_faults": 1},
)
