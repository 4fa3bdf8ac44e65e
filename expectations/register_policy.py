"""Partners and workloads only tighten the customer's limits, and each environment's limits are the ones that were meant."""

from countersign.expectation import Expectation, Severity, expect

register_policy = Expectation(
    id="register-policy",
    title="A limit in the register is loosened, or misses what it is for",
    why="A limit that a file could loosen unnoticed would be none; this one is not in force, and whoever wrote it believes it is.",
    subjects=("register",),
    population="sets_limits",
    holds=expect("column_values_to_be_between", column="register_policy_faults", max_value=0),
    reason="{entry_kind} {entry}: {register_policy_said}",
    shows=("entry_kind", "entry", "register_policy_said", "partner"),
    unknown_from=(),
    remedy="Tighten the value, correct the name, or have an exception approved; `countersign register check` says where.",
    severity=Severity.MEDIUM,
    clock="rotate",
    maps_to=(
        "csf-2.0:GV.PO-02",
        "csf-2.0:PR.AA-05",
        "csf-2.0:PR.PS-01",
        "soc2:CC5.3",
        "soc2:CC8.1",
        "iso-27001:A.5.15",
        "iso-27001:A.5.36",
    ),
    before="The workload `acme-batch` sets `max_idle: P400D` where 45 days are allowed, and nobody approved that.",
    after="The line is gone; or an approved exception allows it until a day that is named.",
    example_held={"register_policy_faults": 0},
    example_broken={"register_policy_faults": 1},
)
