"""Writes the exports that Northwind's people made by hand: of Fjordline, a subsidiary that nobody reads live, and of one AWS account."""

from __future__ import annotations

import csv
import io
import json
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from countersign.clock import stamp
from sandbox.estate.gcp import email
from sandbox.estate.graph_rows import application, principal, secret
from sandbox.estate.places import ACME_TENANT, LABS, STRANGER_TENANT, SUBSIDIARY_PROJECT, SUBSIDIARY_TENANT, guid

if TYPE_CHECKING:
    from pathlib import Path

Json = dict[str, Any]


def write(folder: Path, now: datetime) -> None:
    """Write the exports of yesterday evening below `folder`; dates in them are relative to `now` (UTC)."""
    now = now.replace(microsecond=0)
    made = now - timedelta(hours=11)
    _file(folder / "entra" / "account.json", _json(_account()), made)
    _file(folder / "entra" / "app.json", _json(_applications(now)), made)
    _file(folder / "entra" / "sp.json", _json(_principals()), made)
    _file(folder / "gcp" / "accounts.json", _json(_service_accounts()), made)
    for name, keys in _service_account_keys(now).items():
        _file(folder / "gcp" / f"keys-{name}.json", _json(keys), made)
    _file(folder / "aws" / f"credential-report-{LABS}.csv", _report(now), made)


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
        "homeTenantId": SUBSIDIARY_TENANT,
        "id": guid("subscription/fjordline"),
        "isDefault": True,
        "managedByTenants": [],
        "name": "fjordline",
        "state": "Enabled",
        "tenantId": SUBSIDIARY_TENANT,
        "user": {"name": "devika@northwind.example", "type": "user"},
    }


def _applications(now: datetime) -> list[Json]:
    def with_secret(slug: str, name: str, *, age: int, life: int, partner: str) -> Json:
        return application(now, slug, name, age=age, tags=[f"partner:{partner}"], secrets=(secret(now, slug, 1, age=age, life=life),))

    return [
        with_secret("fjordline-backup", "Acme Backup Nordic", age=45, life=180, partner="acme"),
        with_secret("fjordline-import", "Corvid Import Nordic", age=500, life=730, partner="corvid"),
    ]


def _principals() -> list[Json]:
    return [
        principal("fjordline-portal", "Acme Portal Nordic", ACME_TENANT),
        principal("fjordline-fax", "Fax Gateway", STRANGER_TENANT),
    ]


# --- Google ---


def _service_accounts() -> list[Json]:
    def account(name: str, unique_id: str, display: str, description: str | None = None) -> Json:
        return {
            "displayName": display,
            "email": email(name, SUBSIDIARY_PROJECT),
            "etag": "MDEwMjE5MjA=",
            "name": f"projects/{SUBSIDIARY_PROJECT}/serviceAccounts/{email(name, SUBSIDIARY_PROJECT)}",
            "oauth2ClientId": unique_id,
            "projectId": SUBSIDIARY_PROJECT,
            "uniqueId": unique_id,
        } | ({"description": description} if description else {})

    return [
        account("web", "104417260983415527681", "The web site", "owner=devika; purpose=runs the web site"),
        account("corvid-stock", "101985527706143390274", "stock levels"),
    ]


def _service_account_keys(now: datetime) -> dict[str, list[Json]]:
    def key(name: str, number: int, *, age: int, life: int | None, kind: str = "USER_MANAGED") -> Json:
        start, address = now - timedelta(days=age), email(name, SUBSIDIARY_PROJECT)
        return {
            "keyAlgorithm": "KEY_ALG_RSA_2048",
            "keyOrigin": "GOOGLE_PROVIDED",
            "keyType": kind,
            "name": f"projects/{SUBSIDIARY_PROJECT}/serviceAccounts/{address}/keys/{guid(f'key/{address}/{number}').replace('-', '')}",
            "validAfterTime": stamp(start),
            "validBeforeTime": "9999-12-31T23:59:59Z" if life is None else stamp(start + timedelta(days=life)),
        }

    return {
        "web": [key("web", 0, age=6, life=22, kind="SYSTEM_MANAGED")],
        "corvid-stock": [key("corvid-stock", 0, age=6, life=22, kind="SYSTEM_MANAGED"), key("corvid-stock", 1, age=640, life=None)],
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
