"""What a partner's identity created, to any depth, is registered like what the partner was given.

Who created an identity is known where its provider says so: Entra for what an application created, AWS for users and roles of the last 90
days. An identity whose provider keeps no such record at all is not in the population; one that is older than the record is unknown.
"""

from countersign.expectation import Expectation, Severity, expect

derived_identity = Expectation(
    id="derived-identity",
    title="A partner's identity created it, and nobody registered it",
    why="It survives the end of the identity that made it, and no list of the partner's access has it.",
    subjects=("identity",),
    population="is_derived",
    holds=expect("column_values_to_be_in_set", column="is_registered", value_set=[True]),
    reason="{lineage}, and no workload in the register lists it",
    shows=("partner", "lineage", "lineage_depth", "created_by", "created_at"),
    unknown_from=("enabled_why", "track_why", "lineage_why"),
    remedy="Ask the partner what it is for; then register it in a workload, or remove it, and take the right to create identities away.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:DE.CM-06", "csf-2.0:ID.AM-02", "owasp-nhi:NHI3:2025", "soc2:CC7.2", "iso-27001:A.5.22", "iso-27001:A.8.16"),
    before="Acme's pipeline made the role `tmp-migrate`, which made the user `tmp-2`; no workload knows either.",
    after="Both are in a workload with an owner, or they are gone.",
    example_held={"is_registered": True},
    example_broken={"is_registered": False},
)
