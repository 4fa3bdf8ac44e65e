"""Where Northwind's estate lies: the accounts, tenants and projects of the customer and of its partners."""

from __future__ import annotations

from uuid import UUID, uuid5

PROD = "444455556666"
DATA = "444455557777"
LEGACY = "444455558888"
"""The inventory role may be assumed here, but reading is denied."""
LABS = "444455559999"
"""Only known from a credential report that somebody exported."""

ACME_ACCOUNT = "111122223333"
BRIGHTPATH_ACCOUNT = "222233334444"
CORVID_ACCOUNT = "333344445555"
STRANGER_ACCOUNT = "999900001111"
"""Nobody remembers whose this is."""

TENANT = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10"
SUBSIDIARY_TENANT = "91b7c3e6-40d2-4f5a-8e16-7d2a9c04be53"
"""Fjordline's, a subsidiary; only known from exports that somebody made."""
ACME_TENANT = "6d1f7a34-2c58-4e0b-9a71-5be0c9d3f821"
BRIGHTPATH_TENANT = "b8a2c1f0-77de-4c19-8f3b-21d90e5ac644"
CORVID_TENANT = "c02e9d7b-5a43-4f86-b1c8-e97f30d2a615"
STRANGER_TENANT = "e5b3d8c4-0f16-4a2d-a7e9-84c1f6b02d39"
MICROSOFT_TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"

ORGANIZATION = "680123456789"
"""Northwind's at Google."""
PROJECT = "northwind-shop"
ANALYTICS = "northwind-analytics"
EDGE = "northwind-edge"
LAB = "northwind-lab"
MAINFRAME = "northwind-mainframe"
"""Everything is denied here, except that it is there."""
SUBSIDIARY_PROJECT = "fjordline-web"
"""Fjordline's; only known from exports."""

ACME_PROJECT = "acme-ops"
BRIGHTPATH_PROJECT = "brightpath-ml"
CORVID_PROJECT = "corvid-delivery"

ACME_ISSUER = "https://token.acme.example"
CORVID_ISSUER = "https://login.corvid.example"
STRANGER_ISSUER = "https://ci.build-farm.example"
"""Nobody remembers whose this is, either."""

INVENTORY_ROLE = "CountersignInventory"
EXTERNAL_ID = "northwind-countersign"
REVOCATION_ROLE = "CountersignRevocation"
REVOCATION_ID = "northwind-countersign-revoke"
"""ExternalId of that role: who knows the reader's cannot revoke."""

HOSTILE_HTML = "<img src=x onerror=alert(1)>"
HOSTILE_FORMULA = "=cmd|' /C calc'!A0"
HOSTILE_SUM = "=1+1"
"""Names that somebody chose to hurt whoever opens the report or the export of it."""

CANARY = "canary-4f1d-do-not-read-me"
"""A value kept where no reading may look: it must turn up nowhere else."""

_NAMESPACE = UUID(TENANT)


def guid(what: str) -> str:
    """Give the same id for the same name, every time."""
    return str(uuid5(_NAMESPACE, what))
