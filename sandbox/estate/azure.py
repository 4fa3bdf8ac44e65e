"""Seeds Northwind's Azure: who holds roles on its subscriptions, and what Lighthouse hands to partners."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sandbox.estate.entra import principal_of
from sandbox.estate.places import ACME_TENANT, CORVID_TENANT, guid

if TYPE_CHECKING:
    from sandbox.graph import SandboxTenant


def seed(tenant: SandboxTenant, now: datetime) -> None:
    """Write subscriptions, role assignments and delegations; ages are relative to `now` (UTC). The directory was seeded before."""
    azure = tenant.azure

    def ago(days: float) -> datetime:
        return now - timedelta(days=days)

    prod, data = (azure.subscription(name) for name in ("northwind-prod", "northwind-data"))
    at = f"/subscriptions/{prod}"
    azure.role(guid("user/maria"), "Owner", "/", ago(1600), principal_type="User")
    azure.role(guid("principal/func-orders-prod"), "Storage Blob Data Reader", f"{at}/resourcegroups/orders", ago(300))
    azure.role(guid("principal/acme-runner"), "Reader", f"{at}/resourcegroups/orders", ago(200), created_by=guid("user/devika"))
    azure.role(principal_of("acme-backup"), "Storage Blob Data Reader", f"{at}/resourcegroups/backup", ago(420))
    azure.role(principal_of("brightpath-loader"), "Storage Blob Data Reader", f"/subscriptions/{data}", ago(800))
    azure.role(principal_of("corvid-provisioning"), "Owner", at, ago(1490), created_by=guid("user/larsen"))
    azure.role(guid("user/larsen"), "User Access Administrator", f"/subscriptions/{data}", ago(1480), principal_type="User")
    azure.lighthouse(ACME_TENANT, prod, {guid("acme/operators"): "Reader"}, name="Acme Monitoring")
    azure.lighthouse(CORVID_TENANT, data, {guid("corvid/operators"): "Owner"}, name="Corvid Managed Cloud")
