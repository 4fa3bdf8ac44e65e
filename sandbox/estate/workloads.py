"""The uses of identities that Northwind registered, and which identities each of them names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sandbox.estate.exports import email
from sandbox.estate.places import DATA, LABS, PROD, PROJECT, TENANT, guid


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One registered workload."""

    name: str
    partner: str | None
    """None: Northwind's own."""
    owner: str
    backup_owner: str | None = "devika"
    purpose: str
    ends_before_contract_days: int | None
    """How long before the contract (or our own next review) it ends; None: no expiry is written down."""
    identities: tuple[str, ...]

    def entry(self, contract_ends: date) -> dict[str, Any]:
        """Write it as the register does."""
        entry: dict[str, Any] = {"workload": self.name}
        if self.partner is not None:
            entry["partner"] = self.partner
        entry["owner"] = self.owner
        if self.backup_owner is not None:
            entry["backup_owner"] = self.backup_owner
        entry |= {"purpose": self.purpose, "environment": "production"}
        if self.ends_before_contract_days is not None:
            entry["expires"] = contract_ends - timedelta(days=self.ends_before_contract_days)
        return entry | {"identities": list(self.identities)}


def _app(slug: str) -> str:
    return f"azure:{TENANT}:application/{guid(f'application/{slug}')}"


def _principal(slug: str) -> str:
    return f"azure:{TENANT}:service-principal/{guid(f'principal/{slug}')}"


WORKLOADS = (
    Work(
        name="acme-backup",
        partner="acme",
        owner="maria",
        purpose="Nightly backup of the order database",
        ends_before_contract_days=30,
        identities=(f"aws:{PROD}:user/acme-backup", "vault:vault:approle/acme-backup", _app("acme-backup")),
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
            f"aws:{PROD}:user/acme-monitor",
            f"aws:{PROD}:user/acme-pavel",
            f"aws:{LABS}:user/acme-lab-runner",
            f"gcp:{PROJECT}:service-account/{email('acme-deploy')}",
            _principal("acme-portal"),
            "vault:vault:entity/acme-oncall",
        ),
    ),
    Work(
        name="brightpath-analytics",
        partner="brightpath",
        owner="devika",
        purpose="Sales forecasts from the order history",
        ends_before_contract_days=0,
        identities=(
            f"aws:{DATA}:user/brightpath-etl",
            f"aws:{DATA}:role/brightpath-reader",
            f"gcp:{PROJECT}:service-account/{email('brightpath-loader')}",
            _app("brightpath-loader"),
            _principal("brightpath-analytics"),
            "vault:vault:approle/brightpath-loader",
        ),
    ),
    Work(
        name="corvid-etl",
        partner="corvid",
        owner="tom",
        backup_owner=None,
        purpose="Moves orders into the warehouse",
        ends_before_contract_days=0,
        identities=(f"aws:{DATA}:user/corvid-legacy-sync", f"gcp:{PROJECT}:service-account/{email('corvid-etl')}"),
    ),
    Work(
        name="corvid-support",
        partner="corvid",
        owner="maria",
        purpose="Second-level support",
        ends_before_contract_days=None,
        identities=("aws:*:role/corvid-support",),
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
            f"gcp:{PROJECT}:service-account/{email('orders-api')}",
            "vault:vault:approle/orders-ci",
        ),
    ),
    Work(
        name="countersign",
        partner=None,
        owner="maria",
        purpose="Reads what partners do here, every night",
        ends_before_contract_days=0,
        identities=("aws:*:role/CountersignInventory",),
    ),
)
