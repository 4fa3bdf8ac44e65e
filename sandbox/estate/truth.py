"""What the estate is built to show: every control of identities, credentials and scopes held by somebody and broken by somebody."""

from __future__ import annotations

from typing import Literal

from sandbox.estate.entra import CORVID_AGENTS
from sandbox.estate.gcp import COMPUTE, email
from sandbox.estate.places import (
    ACME_PROJECT,
    ANALYTICS,
    BRIGHTPATH_PROJECT,
    CORVID_TENANT,
    DATA,
    HOSTILE_FORMULA,
    HOSTILE_HTML,
    HOSTILE_SUM,
    LAB,
    PROD,
    PROJECT,
    SUBSIDIARY_PROJECT,
    TENANT,
)  # fmt: skip

Intended = tuple[str, str, Literal["held", "broken"]]

_DEPLOY, _API, _ETL, _SYNC = email("acme-deploy"), email("orders-api"), email("corvid-etl"), email("corvid-sync", ANALYTICS)
_STOCK, _POC = email("corvid-stock", SUBSIDIARY_PROJECT), email("corvid-poc", LAB)
_FORECAST, _TRAINER = email("brightpath-forecast", ANALYTICS), email("trainer", BRIGHTPATH_PROJECT)
_RUNNER = email("runner", ACME_PROJECT)
_INVOICES = "arn:aws:s3:::northwind-invoices"

_HELD = {
    "named-owner": (
        "acme-backup", "acme-operations", "Acme Operations Portal", "brightpath-etl", "id-acme-runner", "Timesheets", "Acme Portal Nordic",
        _RUNNER, "acme/pipelines", "acme-pipeline", "countersign-runner", "token.acme.example",
    ),
    "owner-live": ("acme-backup", "acme-operations", "Payroll Sync", "Acme Pipeline", _API, _DEPLOY),
    "workload-registered": (
        "acme-backup", "brightpath-etl", "corvid-support", _DEPLOY, "pavel@acme.example", "Acme Monitoring", "acme/pipelines",
        "acme-oncall",
    ),
    "expiry-declared": ("acme-backup", "corvid-legacy-sync", "Acme Operations Portal", _DEPLOY),
    "rotation-age": (
        "acme-backup", "acme-monitor", "Acme Backup Console", "Brightpath Loader", _DEPLOY, "acme-lab-runner", "countersign-runner",
    ),
    "credential-expiry": ("acme-backup", "Acme Backup Console", _DEPLOY),
    "expired-but-enabled": ("Acme Backup Console", "Payroll Sync", _DEPLOY),
    "overlap-too-long": ("acme-backup",),
    "inactive": (
        "acme-backup", "acme-monitor", "acme-operations", "maria.keller", "acme-lab-runner", "Acme Operations Portal", "pavel@acme.example",
        _API, _DEPLOY,
    ),
    "contract-ended": ("acme-backup", "corvid-deploy", "Acme Operations Portal", "Acme Monitoring", "Corvid Insight", _DEPLOY, _ETL),
    "unconditioned-trust": (
        "acme-operations", "acme-pipeline", "audit-bridge", "Acme Operations Portal", "Acme Pipeline", "id-acme-runner", "Acme Monitoring",
        "acme/pipelines", _DEPLOY, "kurt.w.1987@gmail.com", "token.acme.example",
    ),
    "unknown-third-party": (
        "acme-operations", "corvid-support", "Corvid Insight", "Acme Pipeline", "acme/pipelines", "corvid-aws/delivery", "acme-pipeline",
        "corvid-delivery",
    ),
    "human-mfa": ("maria.keller", "devika.rao", "lab.admin", "<root_account>"),
    "over-privileged": (
        "acme-backup", "acme-operations", "brightpath-etl", "Acme Operations Portal", "pavel@acme.example", "Acme Monitoring", _DEPLOY,
        _API,
    ),
    "source-unobserved": ("entra", "vault", "exports"),
    "attribution-conflict": ("acme-backup", "acme-operations", "Acme Operations Portal", "acme-oncall", _DEPLOY),
    "derived-identity": ("Acme Pipeline",),
    "replicated-access": ("corvid-support", "acme-operations", "Acme Operations Portal", "acme-oncall", _DEPLOY),
    "purpose-declared": ("acme-backup", "corvid-support", "brightpath-etl", "Payroll Sync", "acme-oncall", _DEPLOY),
    "rotation-repeatable": (_DEPLOY,),
    "lifetime-too-long": ("acme-backup", "Acme Backup Console", "Payroll Sync", "orders-ci", _DEPLOY),
    "static-where-federation": ("Acme Pipeline", "Corvid Builder", "id-acme-runner"),
    "used-after-end": ("lena@brightpath.example", "brightpath-loader"),
    "workload-expired": ("acme-backup", "Payroll Sync", "corvid-legacy-sync", "acme-oncall", _DEPLOY),
    "incident-open": ("corvid-support",),
    "review-overdue": ("acme-backup", "acme-pavel", "ines@acme.example", "Acme Pipeline", "acme-oncall", "orders-ci", _DEPLOY),
    "machine-console": ("acme-backup", "Acme Pipeline", "orders-ci", _DEPLOY),
    "human-unattended": ("maria.keller", "acme-pavel", "intern.kay", "<root_account>"),
    "sole-administrator": (DATA, TENANT, PROJECT, "vault"),
    "own-identities": ("CountersignInventory", "Countersign Reader"),
}  # fmt: skip

_BROKEN = {
    "named-owner": (
        "corvid-deploy", "corvid-report", "ci-artifacts", "legacy-ftp", "nightly-export", HOSTILE_SUM, "Corvid Insight", "corvid-batch",
        HOSTILE_FORMULA, HOSTILE_HTML, "CN=corvid-batch-07", "Corvid Setup Wizard", "corvid-aws/delivery", "corvid-staff/corvid-login",
        "corvid-delivery", _STOCK,
    ),
    "owner-live": ("corvid-legacy-sync", _ETL),
    "workload-registered": (
        "corvid-deploy", "corvid-jlarsen", "corvid-batch", "corvid-lab", "Corvid Provisioning", "Corvid Managed Cloud", HOSTILE_HTML,
        "j.larsen@corvid.example", "admins@corvid.example", _SYNC, CORVID_AGENTS, "corvid-delivery", "corvid-datacentre",
    ),
    "expiry-declared": ("corvid-support", CORVID_TENANT),
    "rotation-age": (
        "corvid-deploy", "corvid-legacy-sync", "legacy-ftp", "corvid-lab", "corvid/sftp", "Corvid Provisioning", "Corvid Import Nordic",
        "Timesheets", _ETL, _SYNC, _STOCK, "Maps on the shop's pages",
    ),
    "credential-expiry": ("corvid-batch", _ETL, _SYNC),
    "expired-but-enabled": ("Corvid Provisioning", "Timesheets", _ETL, "legacy-ftp", "old-shop.northwind.example"),
    "overlap-too-long": ("corvid-legacy-sync", _ETL),
    "inactive": (
        "corvid-report", "corvid-jlarsen", "corvid-admin", "legacy-ftp", "corvid-lab", "CN=corvid-batch-07", "Corvid Insight",
        "lena@brightpath.example", "Payroll Sync", _POC, _SYNC, _FORECAST,
    ),
    "contract-ended": (
        "brightpath-etl", "brightpath-reader", "brightpath-loader", "Brightpath Loader", "Brightpath Analytics", "lena@brightpath.example",
        email("brightpath-loader"), _FORECAST, _TRAINER,
    ),
    "unconditioned-trust": (
        "corvid-support", "public-share", _INVOICES, CORVID_TENANT, "corvid-aws/delivery", "admins@corvid.example", "allUsers", _ETL,
        "corvid-delivery",
    ),
    "unknown-third-party": ("audit-bridge", _INVOICES, "ShipTrack Connector", "Corvid Builder", "Fax Gateway", "kurt.w.1987@gmail.com"),
    "human-mfa": ("sam.osei", "corvid-jlarsen", "intern.kay"),
    "over-privileged": (
        "corvid-deploy", "corvid-jlarsen", "corvid-admin", "corvid-batch", "Corvid Provisioning", "Corvid Insight", "Corvid Mailer",
        "Corvid Managed Cloud", "j.larsen@corvid.example", CORVID_AGENTS, "admins@corvid.example", COMPUTE, _ETL, _SYNC,
    ),
    "source-unobserved": ("aws", "gcp"),
    "attribution-conflict": ("acme-pipeline",),
    "derived-identity": ("nightly-export", "report-mailer", "Corvid Builder", "Corvid Insight"),
    "replicated-access": ("corvid-monitor",),
    "purpose-declared": ("corvid-legacy-sync", _ETL),
    "rotation-repeatable": ("corvid/sftp",),
    "lifetime-too-long": ("Corvid Provisioning", "Corvid Import Nordic", _ETL, _SYNC, _STOCK, "token-countersign-reader"),
    "static-where-federation": (
        "corvid-deploy", "acme-backup", "Acme Backup Console", "Countersign Reader", "orders-ci", "corvid-batch", _DEPLOY, _ETL,
    ),
    "used-after-end": (
        "brightpath-etl", "brightpath-reader", "Brightpath Analytics", "Brightpath Loader", email("brightpath-loader"),
    ),
    "workload-expired": (
        "brightpath-etl", "brightpath-reader", "brightpath-loader", "Brightpath Loader", "lena@brightpath.example", _FORECAST, _TRAINER,
    ),
    "incident-open": (
        "brightpath-etl", "brightpath-reader", "brightpath-loader", "Brightpath Loader", "lena@brightpath.example", _FORECAST, _TRAINER,
    ),
    "review-overdue": ("corvid-support", "corvid-legacy-sync", "lena@brightpath.example", "Payroll Sync", "Timesheets", _ETL, _FORECAST),
    "machine-console": ("corvid-nightly",),
    "human-unattended": ("corvid-jlarsen",),
    "sole-administrator": (PROD,),
    "own-identities": ("token-countersign-reader",),
}  # fmt: skip

TRUTH: tuple[Intended, ...] = (
    *((control, name, "held") for control, names in _HELD.items() for name in names),
    *((control, name, "broken") for control, names in _BROKEN.items() for name in names),
)
"""(control, name of the identity or source, held or broken).

`broken`: at least one finding of this control bears the name. `held`: the control judges something of this name and no
finding of it bears the name. What is in neither was not thought about, or is unknown or excepted on purpose.
"""
