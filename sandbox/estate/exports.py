"""Writes the exports that Northwind's people made by hand: a directory, a Google project, and a report of one AWS account."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from countersign.clock import stamp
from sandbox.estate.places import (
    ACME_TENANT,
    BRIGHTPATH_TENANT,
    CORVID_TENANT,
    HOSTILE_FORMULA,
    LABS,
    MICROSOFT_TENANT,
    PROJECT,
    STRANGER_TENANT,
    TENANT,
    guid,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]

COMPUTE = "845120936471-compute@developer.gserviceaccount.com"

PAYROLL_SECRET = guid("secret/payroll-sync/2")
"""The old secret that the one exception of the register is about."""


def write(folder: Path, now: datetime) -> None:
    """Write the exports of yesterday evening below `folder`; dates in them are relative to `now` (UTC)."""
    now = now.replace(microsecond=0)
    made = now - timedelta(hours=11)
    _file(folder / "entra" / "account.json", _json(_account()), made)
    _file(folder / "entra" / "app.json", _json(_applications(now)), made)
    _file(folder / "entra" / "sp.json", _json(_principals(now)), made)
    _file(folder / "gcp" / "accounts.json", _json(_service_accounts()), made)
    for email, keys in _service_account_keys(now).items():
        _file(folder / "gcp" / f"keys-{email.partition('@')[0]}.json", _json(keys), made)
    _file(folder / "aws" / f"credential-report-{LABS}.csv", _report(now), made)


def email(name: str) -> str:
    """Give the e-mail of a service account of the project."""
    return f"{name}@{PROJECT}.iam.gserviceaccount.com"


def _file(path: Path, text: str, made: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (made.timestamp(), made.timestamp()))


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"


# --- Entra ---


def _account() -> Json:
    return {
        "environmentName": "AzureCloud",
        "homeTenantId": TENANT,
        "id": guid("subscription/prod"),
        "isDefault": True,
        "managedByTenants": [],
        "name": "northwind-prod",
        "state": "Enabled",
        "tenantId": TENANT,
        "user": {"name": "devika@northwind.example", "type": "user"},
    }


def _secret(now: datetime, app: str, number: int, *, age: int, life: int) -> Json:
    start = now - timedelta(days=age)
    return {
        "customKeyIdentifier": None,
        "displayName": f"{app} {number}",
        "endDateTime": stamp(start + timedelta(days=life)),
        "hint": None,
        "keyId": guid(f"secret/{app}/{number}"),
        "secretText": None,
        "startDateTime": stamp(start),
    }


def _certificate(now: datetime, app: str, *, age: int, life: int) -> Json:
    return _secret(now, app, 1, age=age, life=life) | {
        "keyId": guid(f"certificate/{app}"),
        "type": "AsymmetricX509Cert",
        "usage": "Verify",
        "key": None,
    }


def _application(now: datetime, slug: str, name: str, *, age: int, secrets: tuple[Json, ...] = (), **fields: Any) -> Json:  # noqa: ANN401 -- Graph's own values
    return {
        "id": guid(f"application/{slug}"),
        "appId": guid(f"app/{slug}"),
        "displayName": name,
        "createdDateTime": stamp(now - timedelta(days=age)),
        "isDisabled": None,
        "signInAudience": "AzureADMyOrg",
        "notes": None,
        "tags": [],
        "passwordCredentials": list(secrets),
        "keyCredentials": [],
    } | fields


def _applications(now: datetime) -> list[Json]:
    def secret(app: str, number: int, *, age: int, life: int) -> Json:
        return _secret(now, app, number, age=age, life=life)

    return [
        _application(
            now, "acme-backup", "Acme Backup Console", age=420, tags=["partner:acme"], notes="Restores of the order database",
            secrets=(secret("acme-backup", 1, age=30, life=180),),
        ),
        _application(
            now, "brightpath-loader", "Brightpath Loader", age=800, tags=["partner:brightpath"],
            secrets=(secret("brightpath-loader", 1, age=120, life=365),),
        ),
        _application(
            now, "corvid-provisioning", "Corvid Provisioning", age=1490, tags=["partner:corvid"],
            secrets=(secret("corvid-provisioning", 1, age=400, life=365), secret("corvid-provisioning", 2, age=390, life=3650)),
        ),
        _application(
            now, "payroll-sync", "Payroll Sync", age=600, tags=["owner:devika"], notes="Feeds payroll from the directory",
            keyCredentials=[_certificate(now, "payroll-sync", age=60, life=365)],
            secrets=(secret("payroll-sync", 2, age=200, life=365),),
        ),
        _application(now, "calc", HOSTILE_FORMULA, age=12, secrets=(secret("calc", 1, age=12, life=90),)),
    ]  # fmt: skip


def _principal(slug: str, name: str, publisher: str | None, **fields: Any) -> Json:  # noqa: ANN401 -- Graph's own values
    return {
        "id": guid(f"principal/{slug}"),
        "appId": guid(f"app/{slug}"),
        "displayName": name,
        "servicePrincipalType": "Application",
        "accountEnabled": True,
        "appOwnerOrganizationId": publisher,
        "createdByAppId": None,
        "alternativeNames": [],
        "notes": None,
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
        "passwordCredentials": [],
        "keyCredentials": [],
    } | fields


def _principals(now: datetime) -> list[Json]:
    vault = f"/subscriptions/{guid('subscription/prod')}/resourcegroups/orders/providers/Microsoft.Web/sites/func-orders-prod"
    rotated = _certificate(now, "func-orders-prod", age=20, life=90)
    return [
        _principal("payroll-sync", "Payroll Sync", TENANT),
        _principal("acme-portal", "Acme Operations Portal", ACME_TENANT),
        _principal("brightpath-analytics", "Brightpath Analytics", BRIGHTPATH_TENANT),
        _principal("corvid-insight", "Corvid Insight", CORVID_TENANT),
        _principal("shiptrack", "ShipTrack Connector", STRANGER_TENANT),
        _principal("old-crm", "Old CRM Bridge", STRANGER_TENANT, accountEnabled=False),
        _principal("microsoft-graph", "Microsoft Graph", MICROSOFT_TENANT),
        _principal(
            "func-orders-prod", "func-orders-prod", None, servicePrincipalType="ManagedIdentity",
            alternativeNames=["isExplicit=False", vault], keyCredentials=[rotated],
        ),
    ]  # fmt: skip


# --- Google ---


def _service_account(name: str, unique_id: str, display: str, description: str | None = None, address: str | None = None) -> Json:
    address = address or email(name)
    return {
        "displayName": display,
        "email": address,
        "etag": "MDEwMjE5MjA=",
        "name": f"projects/{PROJECT}/serviceAccounts/{address}",
        "oauth2ClientId": unique_id,
        "projectId": PROJECT,
        "uniqueId": unique_id,
    } | ({"description": description} if description else {})


def _service_accounts() -> list[Json]:
    return [
        _service_account(
            "acme-deploy", "104417260983415527681", "Acme deploys the shop", "owner=maria; purpose=deploys the shop; partner=acme"
        ),
        _service_account("brightpath-loader", "107731190264458812903", "Brightpath loader"),
        _service_account("corvid-etl", "101985527706143390274", "etl (do not touch!!)"),
        _service_account("orders-api", "110240685519937746120", "Orders API", "owner=devika; purpose=runs the orders API"),
        _service_account("compute", "115503376984421059867", "Compute Engine default service account", address=COMPUTE),
    ]


def _key(now: datetime, address: str, number: int, *, age: int, life: int | None) -> Json:
    start = (now - timedelta(days=age)).replace(microsecond=0)
    return {
        "keyAlgorithm": "KEY_ALG_RSA_2048",
        "keyOrigin": "GOOGLE_PROVIDED",
        "keyType": "USER_MANAGED",
        "name": f"projects/{PROJECT}/serviceAccounts/{address}/keys/{guid(f'key/{address}/{number}').replace('-', '')}",
        "validAfterTime": stamp(start),
        "validBeforeTime": "9999-12-31T23:59:59Z" if life is None else stamp(start + timedelta(days=life)),
    }


def _service_account_keys(now: datetime) -> dict[str, list[Json]]:
    ours: dict[str, list[tuple[int, int | None]]] = {  # (age, life) in days
        email("acme-deploy"): [(20, 90)],
        email("brightpath-loader"): [(80, 365)],
        email("corvid-etl"): [(1130, None), (502, None), (430, 365)],
        email("orders-api"): [],
        COMPUTE: [],
    }
    return {
        address: [
            _key(now, address, 0, age=6, life=22) | {"keyType": "SYSTEM_MANAGED"},
            *(_key(now, address, number, age=age, life=life) for number, (age, life) in enumerate(keys, 1)),
        ]
        for address, keys in ours.items()
    }


# --- AWS ---

_USE = ("last_used_date", "last_used_region", "last_used_service")
_COLUMNS = (
    *("user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation"),
    "mfa_active",
    *(f"access_key_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated", *_USE)),
    *(f"cert_{slot}_{what}" for slot in (1, 2) for what in ("active", "last_rotated")),
)


def _report(now: datetime) -> str:
    def ago(days: float) -> str:
        return stamp((now - timedelta(days=days)).replace(microsecond=0)).replace("Z", "+00:00")

    def row(user: str, age: int, **cells: str) -> dict[str, str]:
        flags = dict.fromkeys(
            ("password_enabled", "mfa_active", "access_key_1_active", "access_key_2_active", "cert_1_active", "cert_2_active"), "false"
        )
        arn = f"arn:aws:iam::{LABS}:user/{user}"
        return dict.fromkeys(_COLUMNS, "N/A") | flags | {"user": user, "arn": arn, "user_creation_time": ago(age)} | cells

    def key(age: float, used: float | None) -> dict[str, str]:
        use = dict(zip(_USE, (ago(used), "eu-west-2", "s3"), strict=True)) if used is not None else {}
        return {f"access_key_1_{name}": value for name, value in ({"active": "true", "last_rotated": ago(age)} | use).items()}

    def console(changed: float, used: float, *, mfa: bool) -> dict[str, str]:
        return {
            "password_enabled": "true",
            "password_last_changed": ago(changed),
            "password_last_used": ago(used),
            "mfa_active": "true" if mfa else "false",
        }

    root = {
        "arn": f"arn:aws:iam::{LABS}:root",
        "password_enabled": "not_supported",
        "password_last_used": "no_information",
        "mfa_active": "true",
    }
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        [
            row("<root_account>", 1200, **root, password_last_changed="not_supported", password_next_rotation="not_supported"),
            row("lab.admin", 900, **console(30, 2, mfa=True)),
            row("intern.kay", 140, **console(140, 9, mfa=False)),
            row("acme-lab-runner", 300, **key(25, 1)),
            row("corvid-lab", 1300, **key(777, 410)),
        ]
    )
    return out.getvalue()
