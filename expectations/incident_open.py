"""Whoever is under a declared incident is cut off within the time agreed for revocation.

All tracks: in an incident a partner's standing way in is closed like any other.
"""

from countersign.expectation import Expectation, Severity, expect

incident_open = Expectation(
    id="incident-open",
    title="Under a declared incident, and still enabled",
    why="An attacker may be holding it at this moment, and we said ourselves that it is to be cut off.",
    subjects=("identity",),
    population="under_incident",
    holds=expect("column_values_to_be_between", column="days_past_revocation", max_value=0),
    reason="incident {incident} was declared {incident_declared_at} UTC and {incident_how}; the time for revocation is over",
    shows=("incident", "incident_how", "incident_declared_at", "incident_reason", "partner", "partner_how", "workload", "track"),
    unknown_from=("enabled_why", "partner_why"),
    remedy="Disable it now and end its sessions; close the incident in the register only when nothing of it is open any more.",
    severity=Severity.CRITICAL,
    clock="revoke",
    maps_to=(
        "csf-2.0:RS.MA-04",
        "csf-2.0:GV.SC-08",
        "csf-2.0:PR.AA-01",
        "owasp-nhi:NHI1:2025",
        "soc2:CC7.4",
        "iso-27001:A.5.26",
        "dora:30.2(f)",
    ),
    before="An incident with Acme was declared at 08:00; at 12:00 its role is still enabled, and one hour was agreed.",
    after="The role is disabled within the hour; the incident stays open until all of Acme's access is.",
    example_held={"days_past_revocation": 0},
    example_broken={"days_past_revocation": 0.01},
)
