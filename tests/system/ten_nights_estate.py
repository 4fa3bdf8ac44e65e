"""The estate of the ten nights: what stands in the exports and in the register, from night to night, and what fails in it.

Everything here is decided before anything is run. Days are counted from the first night; ages are those on the first night.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_DNS, uuid5

import yaml

from countersign.evidence import signer
from countersign.programme import load
from countersign.register.exceptions import statement
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from pathlib import Path

Entry = dict[str, Any]

MAIN, OTHER, TENANT = "444455556666", "777788889999", str(uuid5(NAMESPACE_DNS, "northwind.example"))
HOSTILE = "<img src=x onerror=alert(1)>=cmd|'/c calc'!A1\x1b[31m\u202e\r\nBcc: everybody@example.org [cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa]"
"""What somebody at a partner called their application."""
SECRET, APPLICATION, PRINCIPAL = (str(uuid5(NAMESPACE_DNS, f"{name}.northwind.example")) for name in ("secret", "application", "principal"))
AGREED = timedelta(days=60)
"""Every service level: no clock runs over in the story."""
NAMES = {"maria": "Maria Keller", "noah": "Noah O'Neill", "dev": "Dev Long"}


@dataclass(frozen=True, slots=True)
class User:
    """An AWS user with one access key, or with a password."""

    account: str = MAIN
    key: int | None = None
    """Age of the access key, in days; None: there is none."""
    used: int | None = None
    """Days since the last use; None: on the eve of each night."""
    active: bool = True
    mfa: bool | None = None
    """None: no password."""


def first_users() -> dict[str, User]:
    """Give the users of the first night, by name."""
    return {
        "acme-old-1": User(key=200),
        "acme-old-2": User(key=150),
        "acme-old-3": User(OTHER, key=120),
        "acme-night-1": User(key=120),
        "acme-idle-1": User(key=52, used=50),
        "acme-idle-2": User(key=52, used=49),
        "brook-old-1": User(key=120),
        "brook-idle-1": User(OTHER, key=52, used=50),
        "cobalt-left-1": User(key=20, used=10),
        "cobalt-left-2": User(key=20, used=10),
        **{f"svc-{number}": User(key=100 + number) for number in range(4)},
        **{f"svc-fine-{number}": User(key=10) for number in range(6)},
        "helga": User(mfa=False),
        "ivan": User(mfa=False),
        "nora": User(mfa=True),
    }


@dataclass
class Estate:
    """The programme's folder, and what is true on the night that is next."""

    folder: Path
    first: datetime
    users: dict[str, User] = field(default_factory=first_users)
    brook_limit: int = 90
    """Days until a key of brook's is to be replaced."""
    tickets_per_run: int = 200
    broken: bool = False
    """Whether the export of the other account cannot be read."""
    accepted: dict[str, Entry] = field(default_factory=dict)
    """Exceptions by number: control, subject, who approved, and the last day, counted from the first night."""
    approvers: dict[str, Key] = field(default_factory=lambda: {"maria": Key(), "noah": Key()})

    def made(self, user: str) -> datetime:
        """When the user's key was made."""
        return self.first - timedelta(days=self.users[user].key or 0)

    def key(self, user: str) -> str:
        """Name the access key of a user as a report lets one name it, which has no key ids."""
        return f"aws:{self.users[user].account}:access-key/{user}@{self.made(user):%Y%m%dT%H%M%SZ}"

    def day(self, days: int) -> date:
        """Give the date of a day."""
        return (self.first + timedelta(days=days)).date()

    def write(self, as_of: datetime, desk: Entry) -> None:
        """Put what is true now into the programme's folder."""
        if not (self.folder / "keys").exists():
            signer.keygen(self.folder / "keys" / "evidence.pem")
        _yaml(self.folder / "countersign.yaml", self._configuration(desk))
        self._write_register()
        shutil.rmtree(self.folder / "exports", ignore_errors=True)
        exported = (as_of - timedelta(hours=1)).timestamp()
        for name, text in self._exports(as_of).items():
            path = self.folder / "exports" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
            os.utime(path, (exported, exported))

    def _configuration(self, desk: Entry) -> Entry:
        return {
            "customer": "northwind",
            "state": "sqlite:///state.db",
            "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
            "sources": [{"name": "exports", "provider": "files", "path": "exports/"}],
            "desk": desk,
            "limits": {"max_new_share": 0.5, "max_gone_share": 0.3, "tickets_per_run": self.tickets_per_run},
        }

    # The register

    def _write_register(self) -> None:
        place = self.folder / "register"
        shutil.rmtree(place, ignore_errors=True)
        _yaml(place / "customer.yaml", _customer())
        for partner, ends in (("acme", None), ("brook", None), ("cobalt", self.day(-5))):
            entry = _partner(partner, ends)
            if partner == "brook":
                entry["policies"] = {"machine": {"rotate_within": {"aws_access_key": f"P{self.brook_limit}D"}}}
            _yaml(place / "partners" / f"{partner}.yaml", entry)
        for control, accountable in (("default", "maria"), ("human-mfa", "noah")):
            _yaml(place / "controls" / f"{control}.yaml", _control(control, accountable))
        for workload in self._workloads():
            _yaml(place / "workloads" / f"{workload['workload']}.yaml", workload)
        (place / "exceptions").mkdir()
        signers = "".join(key.line(person, 'namespaces="countersign"') for person, key in self.approvers.items())
        (place / "allowed_signers").write_text(signers, encoding="utf-8")
        self._write_exceptions()

    def _workloads(self) -> list[Entry]:
        far = date(self.first.year + 2, 1, 31)
        mine = ["aws:*:user/brook-*", f"azure:{TENANT}:application/{APPLICATION}", f"azure:{TENANT}:service-principal/{PRINCIPAL}"]
        return [
            _workload("acme-jobs", "acme", "maria", far, [f"aws:*:user/acme-{kind}-*" for kind in ("old", "idle", "hu")]),
            _workload("acme-nights", "acme", "noah", far, ["aws:*:user/acme-night-*"]),
            _workload("brook-sync", "brook", "maria", far, mine),
            _workload("cobalt-etl", "cobalt", "maria", self.day(-5), ["aws:*:user/cobalt-*"]),
            _workload("services", None, "maria", far, ["aws:*:user/svc-*"]),
        ]

    def _write_exceptions(self) -> None:
        place = self.folder / "register" / "exceptions"
        for name, said in self.accepted.items():
            words = {"reason": "The vendor changes nothing now.", "compensating_control": "Two addresses only.", "exit_criteria": "The vendor has the new key."}  # fmt: skip
            entry = {"exception": name, **words, "requested_by": "acme/pavel", "approval": f"{name}.sig", **said}
            _yaml(place / f"{name}.yaml", entry)
        register = load(self.folder).register
        for name in self.accepted:
            accepted = register.exceptions[name]
            assert accepted.approved_by is not None
            assert accepted.approved_on is not None
            message = statement(register, accepted, accepted.approved_by, accepted.approved_on).message()
            (place / f"{name}.sig").write_text(self.approvers[accepted.approved_by].sign(message), encoding="utf-8")

    # The exports

    def _exports(self, as_of: datetime) -> dict[str, str]:
        reports = {f"aws/{account}.csv": self._report(account, as_of) for account in (MAIN, OTHER)}
        if self.broken:
            reports[f"aws/{OTHER}.csv"] = "user,arn\nbroken"
        secret = {
            "keyId": SECRET, "displayName": "secret", "customKeyIdentifier": None, "hint": None, "secretText": None,
            "startDateTime": f"{self.first - timedelta(days=200):%Y-%m-%dT%H:%M:%SZ}",
            "endDateTime": f"{self.first + timedelta(days=100):%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip
        named = {"appId": APPLICATION, "displayName": HOSTILE, "notes": None, "tags": [], "keyCredentials": []}
        application = {"id": APPLICATION, "isDisabled": None, "signInAudience": "AzureADMyOrg", "passwordCredentials": [secret], **named}
        principal = {
            "id": PRINCIPAL, "servicePrincipalType": "Application", "accountEnabled": True, "appOwnerOrganizationId": TENANT,
            "createdByAppId": None, "alternativeNames": [], "passwordCredentials": [], **named,
        }  # fmt: skip
        account = {
            "environmentName": "AzureCloud",
            "homeTenantId": TENANT,
            "id": TENANT,
            "tenantId": TENANT,
            "name": "x",
            "state": "Enabled",
        }
        return {
            **reports,
            "entra/account.json": json.dumps(account),
            "entra/app.json": json.dumps([application]),
            "entra/sp.json": json.dumps([principal]),
        }

    def _report(self, account: str, as_of: datetime) -> str:
        text = io.StringIO()
        rows = [self._row(name, user, as_of) for name, user in self.users.items() if user.account == account]
        csv.writer(text).writerows([_COLUMNS, *rows])
        return text.getvalue()

    def _row(self, name: str, user: User, as_of: datetime) -> list[str]:
        used = _moment(as_of - timedelta(days=1) if user.used is None else self.first - timedelta(days=user.used))
        born = _moment(self.first - timedelta(days=400))
        password = ["false", "N/A", "N/A", "N/A", "false"]
        if user.mfa is not None:
            password = ["true", used, born, "N/A", str(user.mfa).lower()]
        key = ["false", *["N/A"] * 4]
        if user.key is not None:
            key = [str(user.active).lower(), _moment(self.made(name)), used, "eu-west-2", "s3"]
        return [name, f"arn:aws:iam::{user.account}:user/{name}", born, *password, *key, "false", *["N/A"] * 4, *["false", "N/A"] * 2]


_FACETS = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
_COLUMNS = [
    "user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active",
    *(f"access_key_{slot}_{facet}" for slot in (1, 2) for facet in _FACETS),
    *(f"cert_{slot}_{facet}" for slot in (1, 2) for facet in _FACETS[:2]),
]  # fmt: skip


def first_night() -> datetime:
    """Give the first night's moment: today, since the server's own clock cannot be set."""
    return datetime.combine(datetime.now(UTC).date(), time(2, 0), UTC)


def user(name: str, account: str = MAIN) -> str:
    """Name a user as a report lets one name it."""
    return f"aws:{account}:user/{name}"


def secret() -> str:
    """Name the secret of brook's application."""
    return f"azure:{TENANT}:client-secret/{SECRET}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}+00:00"


def _customer() -> Entry:
    accounts: dict[str, Entry] = {"maria": {"accounts": {"rt": "mkeller"}}}
    return {
        "customer": {"id": "northwind", "name": "Northwind plc", "timezone": "Etc/UTC"},
        "footprint": {"aws_accounts": [MAIN, OTHER], "entra_tenants": [TENANT]},
        "people": [
            {"id": person, "name": name, "email": f"{person}@northwind.example", "active": True, **accounts.get(person, {})}
            for person, name in NAMES.items()
        ],
        "external_people": [{"partner": partner} for partner in ("acme", "brook", "cobalt")],
        "policies": {
            "human": {"max_idle": "P90D", "mfa": "required"},
            "machine": {"max_idle": "P45D", "rotate_within": {"aws_access_key": "P90D", "entra_secret": "P180D"}},
        },
    }


def _partner(partner: str, ends: date | None) -> Entry:
    contract = {
        "reference": f"N-{partner}", "starts": "2024-01-01", "ends": ends or "2040-01-31", "evidence_retention": "P7Y", "notify_within": "PT24H",
        "direct_evidence_access": True,
    }  # fmt: skip
    contacts = {"escalation": [f"ops@{partner}.example"], "security": f"soc@{partner}.example"}
    return {
        "partner": {"id": partner, "name": f"{partner.title()} & Söhne <b>"},
        "contract": contract,
        "contacts": contacts,
        "footprint": {"name_patterns": [f"{partner}-*"]},
    }


def _workload(name: str, partner: str | None, owner: str, expires: date, identities: list[str]) -> Entry:
    said = {
        "workload": name, "partner": partner, "owner": owner, "backup_owner": "dev", "purpose": f"work of {name}", "environment": "production",
        "expires": expires, "identities": identities,
    }  # fmt: skip
    return {key: value for key, value in said.items() if value is not None}


def _control(name: str, accountable: str) -> Entry:
    agreed = f"P{AGREED.days}D"
    return {
        "control": name,
        "objective": f"{name}: a person of ours answers for it",
        "owners": {"business": accountable, "technical": "dev", "operational": "dev"},
        "answers": {"approves": accountable, "implements": "dev", "monitors": accountable, "revokes": "dev"},
        "raci": {step: {"R": "dev", "A": accountable} for step in ("provision", "rotate", "review", "revoke")},
        "fallback": "dev",
        "slas": {"detect": agreed, "escalate": agreed, "rotate": agreed, "revoke": agreed},
    }


def _yaml(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Through JSON: the register takes no YAML aliases.
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False, allow_unicode=True), encoding="utf-8")
