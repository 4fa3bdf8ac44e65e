"""An identity that a partner uses belongs to a registered workload."""

from countersign.expectation import Expectation, Severity, expect

workload_registered = Expectation(
    id="workload-registered",
    title="A partner's identity is in no registered workload",
    why="What is not registered has no purpose, no end and no owner, and is forgotten when the partner leaves.",
    subjects=("identity",),
    population="from_partner",
    holds=expect("column_values_to_be_in_set", column="is_registered", value_set=[True]),
    reason="attributed to {partner} ({partner_how}), but no workload in the register lists it",
    shows=("partner", "partner_how", "track", "created_at"),
    unknown_from=("enabled_why", "partner_why"),
    remedy="Add it to a workload with purpose, owner and expiry, or remove it.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:GV.SC-04", "csf-2.0:ID.AM-04", "owasp-nhi:NHI1:2025", "soc2:CC6.2", "iso-27001:A.5.16"),
    before="The service principal `acme-sync` of Acme's tenant can read every mailbox; no workload names it.",
    after="Workload `acme-sync` lists it by its object id, with an owner, a purpose and an end.",
    example_held={"is_registered": True},
    example_broken={"is_registered": False},
)
