"""Kestrel Bank's programme folder: its register, its exports, and which sources it reads."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import yaml

from countersign.evidence import signer
from sandbox.aws import CALLER_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Entry = dict[str, Any]

MAIN, SIDE, DARK, BLIND, MUTE, PAPER = (f"21000000000{number}" for number in range(1, 7))
"""MAIN and SIDE are read whole, DARK not at all, BLIND without its credential report, MUTE without key ids, PAPER from a file."""
SISTER = "210000000009"
"""The customer's own, and read by nobody."""
ORBIT, STRANGER = "310000000001", "910000000001"
ZONE = ZoneInfo("America/New_York")
READER = "inventory/kestrel-reader"
EXTERNAL_ID = "kestrel-42"
CONTROLS = (
    "contract-ended", "credential-expiry", "expired-but-enabled", "expiry-declared", "human-mfa", "inactive", "named-owner", "over-privileged",
    "overlap-too-long", "owner-live", "rotation-age", "source-unobserved", "unconditioned-trust", "unknown-third-party", "workload-registered",
    "default",
)  # fmt: skip
"""Those with an entry of their own; `default` stands for all others."""
PAPER_KEYS = (("svc-paper-old", 95, 2), ("svc-paper-new", 3, None))
"""User, days since creation and days since use of each key in the report of PAPER."""


@dataclass(frozen=True, slots=True)
class Programme:
    """What the folder is written from."""

    now: datetime
    aws: str
    """Endpoint."""
    vault: str
    """Address."""
    exceptions: tuple[Entry, ...]

    def write(self, folder: Path) -> Path:
        """Write the folder, with a key of its own."""
        folder.mkdir(parents=True)
        signer.keygen(folder / "keys" / "evidence.pem")
        _yaml(folder / "countersign.yaml", self._configuration())
        register = folder / "register"
        _yaml(register / "customer.yaml", _CUSTOMER)
        for kind, entries in (
            ("partners", self._partners()),
            ("workloads", self._workloads()),
            ("controls", map(_control, CONTROLS)),
            ("exceptions", self.exceptions),
        ):
            for number, entry in enumerate(entries):
                _yaml(register / kind / f"{number}.yaml", entry)
        _report(folder / "exports" / "paper.csv", PAPER, PAPER_KEYS, self.now)
        _report(folder / "exports" / "main-of-old.csv", MAIN, (("svc-old-never", 200, None),), self.now)
        return folder

    @property
    def today(self) -> date:
        """The day in the customer's time zone."""
        return self.now.astimezone(ZONE).date()

    def _configuration(self) -> Entry:
        cloud = {"name": "cloud", "provider": "aws", "accounts": [MAIN, SIDE, DARK, BLIND, MUTE], "regions": ["us-east-1"], "role": READER}
        return {
            "customer": "kestrel",
            "state": "sqlite:///state.db",
            "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
            "sources": [
                {**cloud, "external_id": EXTERNAL_ID, "endpoint": self.aws},
                {"name": "safe", "provider": "vault", "address": self.vault, "namespaces": ["team"], "auth": {"method": "token"}},
                {"name": "paper", "provider": "files", "path": "exports/"},
            ],
        }

    def _partners(self) -> Iterable[Entry]:
        orbit = {"aws_accounts": [ORBIT], "oidc_issuers": ["https://ci.orbit.example/"], "email_domains": ["orbit.example"]}
        footprints = {
            "orbit": (self.today + timedelta(200), {**orbit, "name_patterns": ["orbit-*"], "tags": {"vendor": "orbit"}}),
            "zephyr": (self.today, {"name_patterns": ["zephyr-*"], "tags": {"vendor": "zephyr"}}),
            "mistral": (self.today - timedelta(1), {"name_patterns": ["mistral-*"]}),
        }
        agreed = {"starts": date(2020, 1, 1), "evidence_retention": "P7Y", "notify_within": "PT24H", "direct_evidence_access": True}
        for name, (ends, footprint) in footprints.items():
            contract = {"reference": f"K-{name}", "ends": ends, **agreed}
            yield {"partner": {"id": name, "name": name.title()}, "contract": contract, "footprint": footprint}

    def _workloads(self) -> Iterable[Entry]:
        day = timedelta(1)
        own = [
            "aws:*:user/svc-*",
            "aws:*:role/r-*",
            "aws:*:role/kestrel-reader",
            "aws:*:user/deep",
            "vault:safe*:approle/r-*",
            "vault:safe:entity/sleeper",
        ]
        yield self._workload("a-services", own)
        yield self._workload("ghost", ["aws:*:user/ghost-job"], owner="nobody1", backup_owner="nobody2")
        yield self._workload("puppet", ["aws:*:user/puppet-job"], owner="orbit/pavel", backup_owner=None)
        yield self._workload("leaver", ["aws:*:user/leaver-job"], owner="lee", backup_owner=None)
        yield self._workload("backed", ["aws:*:user/backed-job"], owner="lee")
        yield self._workload("ours", ["aws:*:user/orbit-ours"], owner="bo")
        yield self._workload("orbit-jobs", ["aws:*:user/orbit-job-*", "aws:*:user/orbit-ops"], partner="orbit", owner="bo")
        yield self._workload("z-special", [f"aws:{MAIN}:user/svc-special"], partner="orbit", owner="bo")
        yield self._workload("late", ["aws:*:user/orbit-late"], partner="orbit", expires=self.today + 201 * day)
        yield self._workload("endless", ["aws:*:user/endless-job"], expires=None)
        yield self._workload("mistral-job", ["aws:*:user/mistral-job"], partner="mistral", expires=self.today - day)
        yield self._workload("zephyr-job", ["aws:*:user/zephyr-job"], partner="zephyr", expires=self.today)

    def _workload(self, name: str, identities: list[str], **changes: object) -> Entry:
        entry = {
            "workload": name,
            "owner": "ana",
            "backup_owner": "bo",
            "purpose": "work",
            "expires": self.today + timedelta(100),
            "identities": identities,
        }
        return {key: value for key, value in (entry | changes).items() if value is not None}


_CUSTOMER: Entry = {
    "customer": {"id": "kestrel", "name": "Kestrel Bank", "timezone": str(ZONE)},
    "footprint": {"aws_accounts": [SISTER, CALLER_ACCOUNT, PAPER]},
    "people": [
        {"id": "ana", "name": "Ana", "active": True},
        {"id": "bo", "name": "Bo", "active": True},
        {"id": "lee", "name": "Lee", "active": False},
    ],
    "external_people": [{"partner": "orbit"}],
    "policies": {
        "human": {"max_idle": "P90D", "mfa": "required"},
        "machine": {"max_idle": "P45D", "rotate_within": {"aws_access_key": "P90D", "vault_secret_id": "P30D"}, "overlap": "P7D"},
    },
}


def _control(name: str) -> Entry:
    step = {"R": "bo", "A": "ana"}
    return {
        "control": name,
        "objective": name,
        "owners": {"business": "ana", "technical": "bo", "operational": "bo"},
        "answers": {"approves": "ana", "implements": "bo", "monitors": "ana", "revokes": "bo"},
        "raci": dict.fromkeys(("provision", "rotate", "review", "revoke"), step),
        "fallback": "bo",
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "PT1H"},
    }


def _yaml(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False), encoding="utf-8")


def _report(path: Path, account: str, keys: Iterable[tuple[str, int, int | None]], at: datetime) -> None:
    """Write a credential report as the console gives it: `N/A`, `no_information`, `not_supported`."""

    def ago(days: int | None) -> str:
        return "N/A" if days is None else f"{at - timedelta(days):%Y-%m-%dT%H:%M:%S+00:00}"

    path.parent.mkdir(parents=True, exist_ok=True)
    facets = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    columns = [
        "user",
        "arn",
        "user_creation_time",
        "password_enabled",
        "password_last_used",
        "password_last_changed",
        "password_next_rotation",
        "mfa_active",
    ]
    columns += [f"access_key_{slot}_{facet}" for slot in (1, 2) for facet in facets]
    columns += [f"cert_{slot}_{facet}" for slot in (1, 2) for facet in facets[:2]]
    no_key, no_certificates = ["false", *["N/A"] * 4], ["false", "N/A"] * 2
    root = [
        "<root_account>",
        f"arn:aws:iam::{account}:root",
        "2019-01-01T00:00:00+00:00",
        "not_supported",
        "no_information",
        "not_supported",
        "not_supported",
        "true",
    ]
    rows = [[*root, *no_key, *no_key, *no_certificates]]
    for name, age, used in keys:
        user = [name, f"arn:aws:iam::{account}:user/{name}", ago(age), "false", "N/A", "N/A", "N/A", "false"]
        rows.append([*user, "true", ago(age), ago(used), "N/A", "N/A", *no_key, *no_certificates])
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    os.utime(path, (at.timestamp(), at.timestamp()))
