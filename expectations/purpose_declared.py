"""A registered workload says what it is for.

All tracks: a delegation that a workload registers is for something, too.
"""

from countersign.expectation import Expectation, Severity, expect

purpose_declared = Expectation(
    id="purpose-declared",
    title="Its workload does not say what it is for",
    why="Where nobody wrote down the purpose, nobody can say that it is over, or that this access is more than it takes.",
    subjects=("identity",),
    population="in_workload",
    holds=expect("column_values_to_be_in_set", column="purpose_is_given", value_set=[True]),
    reason="workload {workload} states no purpose",
    shows=("workload", "partner", "owner"),
    unknown_from=("enabled_why",),
    remedy="Have the owner write the purpose into the workload's register entry, in words that a reviewer can check the access against.",
    severity=Severity.LOW,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "csf-2.0:ID.AM-08", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "iso-27001:A.5.16", "pci-dss-4.0.1:7.2.5"),
    before="Workload `acme-etl` has an owner and an end, and nobody can say what it is for.",
    after="`purpose: Nightly load of orders into the warehouse` stands in its entry.",
    example_held={"purpose_is_given": True},
    example_broken={"purpose_is_given": False},
)
