"""Halden Marine's programme folder: three partners, four clouds, six sources; and the notes of what is right about each."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from countersign.evidence import signer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Entry = dict[str, Any]

TENANT, SUBSIDIARY, FLEET = (f"5a1e0000-0000-4000-8000-0000000000{last}" for last in ("a1", "b2", "c3"))
"""The group's own tenant, one where a listing is denied, and one with 1,200 service principals."""
BRIGHTWATER_TENANT, QUARRY_TENANT, TESSEL_TENANT, STRANGER_TENANT = (
    f"{first}0000-1111-4222-8333-444455556666" for first in ("b417", "9a44", "7e55", "57a9")
)
MANAGEMENT = "123456789012"
ALPHA, BETA, SUSPENDED, REFUSING = (f"22000000000{number}" for number in range(1, 5))
BRIGHTWATER_ACCOUNT, STRANGER_ACCOUNT, STRANGER_PAYER = "310000000002", "920000000009", "930000000001"
ORGANIZATION = "700000000001"
PROJECTS = ("halden-core", "halden-data", "halden-web", "halden-lab", "halden-dark")
DARK = "halden-dark"
BRIGHTWATER_ISSUER, STRANGER_ISSUER, OWN_ISSUER = (
    "https://token.brightwater.example",
    "https://oidc.nowhere.example",
    "https://ci.halden.example",
)
READER, EXTERNAL_ID = "inventory/halden-reader", "halden-7"
CONTROL_OWNER, WORKLOAD_OWNER = "maud", "finn"
OWN_ENTRIES = (
    "contract-ended", "credential-expiry", "expired-but-enabled", "expiry-declared", "human-mfa", "inactive", "named-owner", "over-privileged",
    "overlap-too-long", "owner-live", "rotation-age", "source-unobserved", "unconditioned-trust", "unknown-third-party", "workload-registered",
)  # fmt: skip
"""Controls with an entry of their own in the register; `control: default` stands for all others."""
STRAY = ("named-owner", "workload-registered")
"""What a partner's identity fails that nobody registered."""
MADE = (*STRAY, "derived-identity")
"""What it fails when a partner's identity created it."""
PERSON = ("human-mfa", "human-unattended")
"""What nobody can tell of a person outside of AWS: the second factor, and the person's use from a program's."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stand-ins are."""

    aws: str
    graph: tuple[tuple[str, str], ...]
    """Address and certificate file of TENANT's, SUBSIDIARY's and FLEET's Graph."""
    gcp: str
    gcp_rest: str
    vault: str
    audit_log: str


@dataclass(slots=True)
class Notes:
    """What has to come out, written down while the estate is seeded and before anybody reads it."""

    now: datetime
    wanted: dict[tuple[str, str], str] = field(default_factory=dict)
    """(control, subject) of each open finding to the identity that it is of."""
    unclear: set[tuple[str, str]] = field(default_factory=set)
    """(control, subject) whose verdict has to be unknown."""
    partners: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Identity to its partner and to a text that the evidence has to name."""
    creators: dict[str, str] = field(default_factory=dict)
    """Identity to the identity that made it."""
    registered: dict[str, list[str]] = field(default_factory=dict)
    """Partner, empty for the customer's own, to the identities of its one workload."""

    def ago(self, days: float) -> datetime:
        """Give an instant so many days before now; negative ones are ahead."""
        return self.now - timedelta(days=days)

    def identity(self, uid: str, *broken: str, partner: str = "", by: str = "", ours: bool = False, unclear: Iterable[str] = ()) -> str:
        """Note an identity: what it fails, whose it is and by what evidence (a partner's), and whether it is registered."""
        if partner:
            self.partners[uid] = partner, "workload" if ours else by
        if ours:
            self.registered.setdefault(partner, []).append(uid)
        self.wanted |= {(control, uid): uid for control in broken}
        self.unclear |= {(control, uid) for control in unclear}
        return uid

    def credential(self, uid: str, identity: str, *broken: str, unclear: Iterable[str] = ()) -> str:
        """Note a credential of an identity."""
        self.wanted |= {(control, uid): identity for control in broken}
        self.unclear |= {(control, uid) for control in unclear}
        return uid

    def unproven(self, uid: str) -> None:
        """Note a credential that may have been rotated or not: this is the first night, and it remembers none before."""
        self.unclear.add(("rotation-repeatable", uid))

    def scope(self, provider: str, scope: str, source: str) -> None:
        """Note a scope that cannot be read whole."""
        subject = f"{provider}:{scope}:source/{source}"
        self.wanted["source-unobserved", subject] = subject

    def expected(self, control: str, subject: str) -> tuple[str | None, str]:
        """Give the partner and the accountable person of a finding."""
        identity = self.wanted[control, subject]
        is_ours = any(identity in identities for identities in self.registered.values())
        return self.partners.get(identity, (None,))[0], WORKLOAD_OWNER if is_ours else CONTROL_OWNER


def write(folder: Path, notes: Notes, at: Addresses) -> Path:
    """Write the folder, with a key of its own."""
    folder.mkdir(parents=True)
    signer.keygen(folder / "keys" / "evidence.pem")
    _yaml(folder / "countersign.yaml", _configuration(at))
    register = folder / "register"
    _yaml(register / "customer.yaml", _CUSTOMER)
    for kind, entries in (
        ("partners", _partners(notes.now.date())),
        ("workloads", _workloads(notes)),
        ("controls", map(_control, (*OWN_ENTRIES, "default"))),
    ):
        for number, entry in enumerate(entries):
            _yaml(register / kind / f"{number}.yaml", entry)
    return folder


def _configuration(at: Addresses) -> Entry:
    tenants = zip(("entra", "entra-sub", "entra-fleet"), (TENANT, SUBSIDIARY, FLEET), at.graph, strict=True)
    return {
        "customer": "halden",
        "state": "sqlite:///state.db",
        "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
        "sources": [
            {
                "name": "nimbus", "provider": "aws", "organization": True, "regions": ["eu-west-2"], "role": READER, "external_id": EXTERNAL_ID,
                "endpoint": at.aws,
            },
            *(
                {
                    "name": name, "provider": "azure", "tenant": tenant, "graph": address, "authority": address, "management": address,
                    "ca": ca, "beta_reports": name == "entra",
                }
                for name, tenant, (address, ca) in tenants
            ),
            {"name": "google", "provider": "gcp", "organization": ORGANIZATION, "endpoint": at.gcp, "rest": at.gcp_rest, "plaintext": True},
            {"name": "safe", "provider": "vault", "address": at.vault, "auth": {"method": "token"}, "audit_log": at.audit_log},
        ],
    }  # fmt: skip


def _partners(today: date) -> Iterable[Entry]:
    footprints: dict[str, Entry] = {
        "brightwater": {
            "entra_tenants": [BRIGHTWATER_TENANT], "aws_accounts": [BRIGHTWATER_ACCOUNT], "oidc_issuers": [BRIGHTWATER_ISSUER],
            "email_domains": ["brightwater.example"], "gcp_projects": ["brightwater-ops"], "name_patterns": ["brightwater-*"],
        },
        "quarry": {"entra_tenants": [QUARRY_TENANT], "email_domains": ["quarry.example"], "tags": {"supplier": "quarry"}},
        "tessel": {"entra_tenants": [TESSEL_TENANT], "email_domains": ["tessel.example"]},
    }  # fmt: skip
    agreed = {"starts": date(2020, 1, 1), "evidence_retention": "P7Y", "notify_within": "PT24H", "direct_evidence_access": True}
    for name, footprint in footprints.items():
        ends = today + timedelta(-2 if name == "tessel" else 300)
        yield {
            "partner": {"id": name, "name": name.title()},
            "contract": {"reference": f"H-{name}", "ends": ends, **agreed},
            "footprint": footprint,
            **({"policies": {"machine": {"max_ttl": "PT12H"}}} if name == "brightwater" else {}),
        }


def _workloads(notes: Notes) -> Iterable[Entry]:
    for partner, identities in notes.registered.items():
        whose = {"partner": partner} if partner else {}
        yield {
            "workload": f"{partner or 'own'}-services",
            **whose,
            "owner": WORKLOAD_OWNER,
            "backup_owner": CONTROL_OWNER,
            "purpose": "work",
            "expires": notes.now.date() + timedelta(200),
            "identities": identities,
        }


_CUSTOMER: Entry = {
    "customer": {"id": "halden", "name": "Halden Marine", "timezone": "Europe/Oslo"},
    "footprint": {"email_domains": ["halden.example"], "oidc_issuers": [OWN_ISSUER]},
    "people": [{"id": name, "name": name.title(), "active": True} for name in (CONTROL_OWNER, WORKLOAD_OWNER)],
    "external_people": [{"partner": "brightwater"}],
    "policies": {
        "human": {"max_idle": "P90D", "mfa": "required"},
        "machine": {
            "max_idle": "P45D",
            "rotate_within": {
                "aws_access_key": "P90D", "aws_service_credential": "P180D", "aws_ssh_key": "P180D", "aws_signing_certificate": "P365D",
                "aws_secret": "P180D", "entra_secret": "P180D", "entra_certificate": "P365D", "gcp_key": "P90D", "gcp_api_key": "P365D",
                "vault_secret_id": "P30D",
            },
            "overlap": "P7D",
            "expiry_required": ["vault_secret_id", "vault_token", "entra_secret", "entra_certificate", "gcp_key", "aws_service_credential"],
        },
    },
}  # fmt: skip


def _control(name: str) -> Entry:
    step = {"R": WORKLOAD_OWNER, "A": CONTROL_OWNER}
    return {
        "control": name,
        "objective": name,
        "owners": {"business": CONTROL_OWNER, "technical": WORKLOAD_OWNER, "operational": WORKLOAD_OWNER},
        "answers": {"approves": CONTROL_OWNER, "implements": WORKLOAD_OWNER, "monitors": CONTROL_OWNER, "revokes": WORKLOAD_OWNER},
        "raci": dict.fromkeys(("provision", "rotate", "review", "revoke"), step),
        "fallback": WORKLOAD_OWNER,
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "PT1H"},
    }


def _yaml(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False), encoding="utf-8")
