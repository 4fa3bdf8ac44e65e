"""The uses of identities that Northwind registered, and which identities each of them names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sandbox.aws import CALLER_ACCOUNT, CALLER_USER
from sandbox.estate.aws_ways_in import BACKUP_KEY
from sandbox.estate.entra import principal_of
from sandbox.estate.gcp import COMPUTE, email
from sandbox.estate.places import (
    ACME_PROJECT,
    ACME_TENANT,
    ANALYTICS,
    BRIGHTPATH_PROJECT,
    CORVID_TENANT,
    DATA,
    LABS,
    PROD,
    PROJECT,
    SUBSIDIARY_PROJECT,
    SUBSIDIARY_TENANT,
    TENANT,
    guid,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One registered workload."""

    name: str
    partner: str | None
    """None: Northwind's own."""
    owner: str
    backup_owner: str | None = "devika"
    purpose: str | None
    ends_before_contract_days: int | None
    """How long before the contract (or our own next review) it ends; None: no expiry is written down."""
    identities: tuple[str, ...]
    policies: dict[str, Any] | None = None
    """Limits of its own."""
    reviewed_days_ago: int | None = None
    """When its owner last looked at it; None: nobody has."""

    def entry(self, today: date, contract_ends: date) -> dict[str, Any]:
        """Write it as the register does."""
        entry: dict[str, Any] = {"workload": self.name}
        if self.partner is not None:
            entry["partner"] = self.partner
        entry["owner"] = self.owner
        if self.backup_owner is not None:
            entry["backup_owner"] = self.backup_owner
        if self.purpose is not None:
            entry["purpose"] = self.purpose
        entry["environment"] = "production"
        if self.ends_before_contract_days is not None:
            entry["expires"] = contract_ends - timedelta(days=self.ends_before_contract_days)
        if self.policies is not None:
            entry["policies"] = self.policies
        if self.reviewed_days_ago is not None:
            entry["reviews"] = [{"by": self.owner, "on": today - timedelta(days=self.reviewed_days_ago)}]
        return entry | {"identities": list(self.identities)}


def _app(slug: str) -> tuple[str, str]:
    """Name an application that is registered here, and its service principal."""
    return f"azure:{TENANT}:application/{guid(f'application/{slug}')}", f"azure:{TENANT}:service-principal/{principal_of(slug)}"


def _principal(slug: str, tenant: str = TENANT) -> str:
    """Name a service principal of an application that is registered elsewhere, or of a managed identity."""
    return f"azure:{tenant}:service-principal/{guid(f'principal/{slug}')}"


def _account(name: str, project: str = PROJECT) -> str:
    return f"gcp:{project}:service-account/{email(name, project)}"


NORDIC_BACKUP = f"azure:{SUBSIDIARY_TENANT}:application/{guid('application/fjordline-backup')}"
WORKLOADS = (
    Work(
        name="acme-backup",
        partner="acme",
        owner="maria",
        purpose="Nightly backup of the order database",
        ends_before_contract_days=30,
        identities=(f"aws:{PROD}:user/acme-backup", "vault:vault:approle/acme-backup", *_app("acme-backup"), NORDIC_BACKUP),
        reviewed_days_ago=60,
    ),
    Work(
        name="acme-operations",
        partner="acme",
        owner="devika",
        backup_owner="sam",
        purpose="Operation of the shop: deployments, monitoring, on call",
        ends_before_contract_days=0,
        identities=(
            "aws:*:role/acme-operations",
            f"aws:{PROD}:role/acme-pipeline",
            f"aws:{PROD}:oidc-provider/token.acme.example",
            f"aws:{PROD}:shared-resource/{BACKUP_KEY}",
            f"aws:{PROD}:user/acme-monitor",
            f"aws:{PROD}:user/acme-pavel",
            f"aws:{LABS}:user/acme-lab-runner",
            f"azure:{TENANT}:user/*@acme.example",
            f"azure:{TENANT}:partner-tenant/{ACME_TENANT}",
            f"azure:{TENANT}:lighthouse-delegation/Acme Monitoring",
            _principal("fjordline-portal", SUBSIDIARY_TENANT),
            *_app("acme-pipeline"),
            _principal("acme-portal"),
            _principal("acme-runner"),
            _account("acme-deploy"),
            f"gcp:{PROJECT}:workload-identity-provider/acme/pipelines",
            f"gcp:{PROJECT}:member/{email('runner', ACME_PROJECT)}",
            f"gcp:{PROJECT}:member/pavel@acme.example",
            "vault:vault:entity/acme-oncall",
            "vault:vault:auth-role/jwt/acme-pipeline",
        ),
        reviewed_days_ago=100,
    ),
    Work(
        name="brightpath-analytics",
        partner="brightpath",
        owner="devika",
        backup_owner="sam",
        purpose="Sales forecasts from the order history",
        ends_before_contract_days=0,
        identities=(
            f"aws:{DATA}:user/brightpath-etl",
            f"aws:{DATA}:role/brightpath-reader",
            f"azure:{TENANT}:user/lena@brightpath.example",
            *_app("brightpath-loader"),
            _principal("brightpath-analytics"),
            _account("brightpath-loader"),
            _account("brightpath-forecast", ANALYTICS),
            f"gcp:{ANALYTICS}:member/lena@brightpath.example",
            f"gcp:{ANALYTICS}:member/{email('trainer', BRIGHTPATH_PROJECT)}",
            "vault:vault:approle/brightpath-loader",
        ),
    ),
    Work(
        name="corvid-etl",
        partner="corvid",
        owner="tom",
        backup_owner=None,
        purpose=None,
        ends_before_contract_days=0,
        identities=(f"aws:{DATA}:user/corvid-legacy-sync", _account("corvid-etl")),
        policies={"machine": {"rotate_within": {"aws_access_key": "P30D"}}},
    ),
    Work(
        name="corvid-support",
        partner="corvid",
        owner="maria",
        purpose="Second-level support",
        ends_before_contract_days=None,
        identities=("aws:*:role/corvid-support", f"azure:{TENANT}:partner-tenant/{CORVID_TENANT}"),
    ),
    Work(
        name="orders",
        partner=None,
        owner="devika",
        backup_owner="maria",
        purpose="The order service, its builds and its loads into the warehouse",
        ends_before_contract_days=0,
        identities=(
            f"aws:{PROD}:role/orders-service",
            f"aws:{DATA}:user/warehouse-loader",
            _principal("func-orders-prod"),
            _account("orders-api"),
            f"gcp:{PROJECT}:service-account/{COMPUTE}",
            _account("warehouse-loader", ANALYTICS),
            _account("web", SUBSIDIARY_PROJECT),
            "vault:vault:approle/orders-ci",
        ),
        reviewed_days_ago=200,
    ),
    Work(
        name="office",
        partner=None,
        owner="sam",
        purpose="Payroll and time sheets",
        ends_before_contract_days=0,
        identities=(*_app("payroll-sync"), *_app("timesheets")),
        reviewed_days_ago=420,
    ),
    Work(
        name="countersign",
        partner=None,
        owner="maria",
        purpose="Reads what partners do here, every night",
        ends_before_contract_days=0,
        identities=(
            "aws:*:role/CountersignInventory",
            "aws:*:role/CountersignRevocation",
            f"aws:{CALLER_ACCOUNT}:user/{CALLER_USER}",
            *_app("countersign"),
        ),
        reviewed_days_ago=30,
    ),
)
"""By name. What nobody registered is in none of them: that is what the estate is for."""
