"""The identities that read for us are under the same controls as all others.

Judged is whoever a scope was read as, whatever its track: a delegation reads nothing. A caller that is not among the identities that were
read (it lives in a place that is not, or did not say who it is) is unknown, as a subject of the scope.
"""

from countersign.expectation import Expectation, Severity, expect

own_identities = Expectation(
    id="own-identities",
    title="The reader itself breaks the rules",
    why="Who may look at everybody is worth most to an attacker, and a partner's reader reports on itself.",
    subjects=("identity", "scope"),
    population="is_own",
    holds=expect("column_values_to_be_between", column="own_fault_count", max_value=0),
    reason="it reads as {caller}: {own_faults}",
    shows=("own_faults", "partner", "partner_how", "workload", "owner"),
    unknown_from=("own_why",),
    remedy="Read as an identity of the customer's own, in a registered workload with a live owner, that may read and nothing else.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=(
        "csf-2.0:PR.AA-05",
        "csf-2.0:PR.AA-01",
        "csf-2.0:GV.RR-02",
        "owasp-nhi:NHI5:2025",
        "soc2:CC6.3",
        "soc2:CC4.1",
        "iso-27001:A.8.2",
    ),
    before="The role that reads for this programme is an administrator, and no workload names it.",
    after="It may read and nothing else, and the workload `countersign` lists it with an owner.",
    example_held={"own_fault_count": 0},
    example_broken={"own_fault_count": 1},
)
