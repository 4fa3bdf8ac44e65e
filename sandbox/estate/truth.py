"""What the estate is built to show: every control held by somebody and broken by somebody."""

from __future__ import annotations

from typing import Literal

from sandbox.estate.exports import email
from sandbox.estate.places import HOSTILE_FORMULA, HOSTILE_HTML

Intended = tuple[str, str, Literal["held", "broken"]]

_HELD = {
    "named-owner": ("acme-backup", "acme-operations", "Acme Operations Portal", "brightpath-etl"),
    "owner-live": ("acme-backup", "acme-operations"),
    "workload-registered": ("acme-backup", "brightpath-etl", "corvid-support", email("acme-deploy")),
    "expiry-declared": ("acme-backup", "corvid-legacy-sync"),
    "rotation-age": ("acme-backup", "acme-monitor", "Acme Backup Console", email("acme-deploy"), "acme-lab-runner"),
    "credential-expiry": ("acme-backup", "Acme Backup Console", email("acme-deploy")),
    "expired-but-enabled": ("Acme Backup Console", email("acme-deploy")),
    "overlap-too-long": ("acme-backup",),
    "inactive": ("acme-backup", "acme-monitor", "acme-operations", "maria.keller", "acme-lab-runner"),
    "contract-ended": ("acme-backup", "corvid-deploy"),
    "unconditioned-trust": ("acme-operations", "acme-pipeline", "audit-bridge", "Acme Operations Portal"),
    "unknown-third-party": ("acme-operations", "corvid-support", "Corvid Insight"),
    "human-mfa": ("maria.keller", "devika.rao", "lab.admin", "<root_account>"),
    "over-privileged": ("acme-backup", "acme-operations", "brightpath-etl"),
    "source-unobserved": ("vault", "exports"),
}

_BROKEN = {
    "named-owner": ("corvid-deploy", "corvid-report", "ci-artifacts", "legacy-ftp", "Corvid Insight", "corvid-batch", HOSTILE_FORMULA),
    "owner-live": ("corvid-legacy-sync", email("corvid-etl")),
    "workload-registered": ("corvid-deploy", "corvid-jlarsen", "corvid-batch", "corvid-lab", "Corvid Provisioning", HOSTILE_HTML),
    "expiry-declared": ("corvid-support",),
    "rotation-age": ("corvid-deploy", "corvid-legacy-sync", "legacy-ftp", "corvid-lab", "Corvid Provisioning", email("corvid-etl")),
    "credential-expiry": ("corvid-batch", email("corvid-etl")),
    "expired-but-enabled": ("Corvid Provisioning", email("corvid-etl")),
    "overlap-too-long": ("corvid-legacy-sync", "Corvid Provisioning", email("corvid-etl")),
    "inactive": ("corvid-report", "corvid-admin", "legacy-ftp", "corvid-lab"),
    "contract-ended": (
        "brightpath-etl", "brightpath-reader", "brightpath-loader", "Brightpath Loader", "Brightpath Analytics", email("brightpath-loader"),
    ),
    "unconditioned-trust": ("corvid-support", "public-share"),
    "unknown-third-party": ("audit-bridge", "ShipTrack Connector"),
    "human-mfa": ("sam.osei", "corvid-jlarsen", "intern.kay"),
    "over-privileged": ("corvid-deploy", "corvid-jlarsen", "corvid-admin", "corvid-batch"),
    "source-unobserved": ("aws",),
}  # fmt: skip

TRUTH: tuple[Intended, ...] = (
    *((control, name, "held") for control, names in _HELD.items() for name in names),
    *((control, name, "broken") for control, names in _BROKEN.items() for name in names),
)
"""(control, name of the identity or source, held or broken).

`broken`: at least one finding of this control bears the name. `held`: the control judges something of this name and no
finding of it bears the name. What is in neither was not thought about, or is unknown or excepted on purpose.
"""
