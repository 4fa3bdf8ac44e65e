"""A credential is replaced before it reaches the age agreed for it."""

from countersign.expectation import Expectation, Severity, expect

rotation_age = Expectation(
    id="rotation-age",
    title="Credential is past its rotation date",
    why="A key nobody rotates is a key whose theft nobody would end.",
    subjects=("credential",),
    population="rotates",
    holds=expect("column_values_to_be_between", column="days_past_rotation", max_value=0),
    reason="created {created_on}, {age_days} days ago; limit {rotation_limit}",
    shows=("created_at", "age_days", "rotation_limit_days", "last_used_at", "last_used_state", "partner", "workload"),
    unknown_from=("enabled_why", "created_why", "track_why"),
    remedy="Rotate the credential, or replace it with one that expires by itself.",
    severity=Severity.HIGH,
    clock="rotate",
    maps_to=("csf-2.0:PR.AA-01", "owasp-nhi:NHI7:2025", "soc2:CC6.1", "iso-27001:A.5.17", "pci-dss-4.0.1:8.6.3"),
    before="An access key of `acme-backup`, created 200 days ago; the limit is 90 days.",
    after="A key made today is in use, and the old one is deleted.",
    example_held={"days_past_rotation": 0},
    example_broken={"days_past_rotation": 1},
)
