"""Each control says who approves, implements, monitors and revokes, and no partner vouches for its own work."""

from countersign.expectation import Expectation, Severity, expect

register_answers = Expectation(
    id="register-answers",
    title="One of the four questions has no answer, or a partner checks itself",
    why="Whoever approves or alone watches what they do themselves is checked by nobody.",
    subjects=("register",),
    population="gives_answers",
    holds=expect("column_values_to_be_between", column="register_answers_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_answers_said}",
    shows=("entry_kind", "entry", "register_answers_said"),
    unknown_from=(),
    remedy="Answer all four, and let somebody of yours approve, revoke and watch; `countersign register check` says where.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.RR-02",
        "csf-2.0:GV.SC-02",
        "csf-2.0:GV.SC-07",
        "soc2:CC1.3",
        "soc2:CC9.2",
        "iso-27001:A.5.3",
        "iso-27001:A.5.19",
        "dora:28.1(a)",
    ),
    before="Acme implements the control and approves its own work.",
    after="Acme implements it; Maria approves, Devika monitors and revokes.",
    example_held={"register_answers_faults": 0},
    example_broken={"register_answers_faults": 1},
)
