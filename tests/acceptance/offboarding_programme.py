"""Kestrel Rail's programme folder, its people with their keys, and the command line as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import yaml

from countersign.evidence import signer
from sandbox.ssh_keys import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date
    from pathlib import Path

    from tests.acceptance.offboarding_estate import Kestrel

Entry = dict[str, Any]

TENANT, ZETA_TENANT, OMEGA_TENANT = (f"{first}0000-1111-4222-8333-777788889999" for first in ("0a1e", "2e7a", "03e9"))
ALPHA, BETA = "610000000001", "610000000002"
ZETA_ACCOUNT, OMEGA_ACCOUNT = "777700000001", "888800000001"
ORGANIZATION = "650000000001"
ZETA_ISSUER, OMEGA_ISSUER, OWN_ISSUER = "https://token.zeta.example", "https://token.omega.example", "https://ci.kestrel.example"
READER, EXTERNAL_ID, REVOKER, REVOKING_ID = "CountersignInventory", "kestrel-read", "CountersignRevocation", "kestrel-revoke"
PEOPLE = ("ada", "ben", "rex", "cal")
"""Ada and Ben are accountable for the end of a contract, Rex asks for plans, Cal is accountable for nothing of it."""
OUTSIDE = ("zeta", "omega", "delta")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one document."""
        return json.loads(self.out)


class Programme:
    """The folder, and the commands of those who use it."""

    def __init__(self, folder: Path, estate: Kestrel) -> None:
        self.folder, self.estate = folder, estate
        self.keys = {name: Key() for name in (*PEOPLE, "pavel", "stranger")}
        self.environment: dict[str, str] = {**estate.reading, **estate.revoking}
        folder.mkdir(parents=True)
        signer.keygen(folder / "keys" / "evidence.pem")
        today = estate.now.date()
        _yaml(folder / "countersign.yaml", _configuration(estate))
        self.customer()
        for partner in OUTSIDE:
            _yaml(folder / "register" / "partners" / f"{partner}.yaml", _partner(partner, today))
        for control in ("contract-ended", "incident-open", "default"):
            _yaml(folder / "register" / "controls" / f"{control}.yaml", _control(control))
        for workload in _workloads(estate, today):
            _yaml(folder / "register" / "workloads" / f"{workload['workload']}.yaml", workload)
        self.signers()

    def customer(self, **more: object) -> None:
        """Write the customer's entry, with other settings on top."""
        _yaml(self.folder / "register" / "customer.yaml", {**_CUSTOMER, **more})

    def signers(self, *lines: str) -> None:
        """Write whose key is whose: each of the customer's people by one line, and other lines after them."""
        own = [self.keys[name].line(name, 'namespaces="countersign"') for name in PEOPLE]
        (self.folder / "register" / "allowed_signers").write_text("".join([*own, *lines]), encoding="utf-8")

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> Said:
        """Run a command to its end."""
        process = self.start(*words, environment=environment)
        out, err = process.communicate(timeout=600)
        return Said(process.returncode, out.decode(), err.decode())

    def start(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a command."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        given = {**kept, **(self.environment if environment is None else environment), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "countersign", *words, "-p", str(self.folder)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=given)

    def plan(self, *words: str, by: str = "rex", partner: str = "zeta") -> Said:
        """Ask for a plan."""
        return self.run("offboard", "plan", partner, "--as", by, "--reason", "the contract K-1 ends", *words, "--json")

    def sign(self, plan: str, name: str, *, key: str | None = None, namespace: str = "countersign") -> Said:
        """Approve as a person does who has only ssh-keygen: print the statement, sign it elsewhere, hand in both."""
        statement = self.run("approve", plan, "--as", name, "--reason", "It is over.", "--statement")
        if statement.code:
            return statement
        desk = self.folder.parent / "desk"
        desk.mkdir(exist_ok=True)
        document = desk / f"{plan}-{name}.json"
        document.write_text(statement.out, encoding="utf-8")
        signed = desk / f"{plan}-{name}.json.sig"
        signed.write_text(self.keys[key or name].sign(statement.out.encode(), namespace), encoding="utf-8")
        return self.run("approve", plan, "--as", name, "--signature", str(signed), "--json")

    def apply(self, plan: str, *words: str, environment: Mapping[str, str] | None = None) -> Said:
        """Carry a plan out."""
        return self.run("offboard", "apply", plan, *words, "--json", environment=environment)


def people() -> list[Entry]:
    """Give the people of the register."""
    return [dict(one) for one in _CUSTOMER["people"]]


def sources(estate: Kestrel, **aws: object) -> str:
    """Write `countersign.yaml` with other settings of AWS's source."""
    made = _configuration(estate)
    made["sources"][0] |= aws
    return yaml.safe_dump(made)


def _configuration(estate: Kestrel) -> Entry:
    graph = estate.graph.address
    return {
        "customer": "kestrel",
        "state": "sqlite:///state.db",
        "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
        "sources": [
            {
                "name": "aws", "provider": "aws", "accounts": [ALPHA, BETA], "regions": ["eu-west-2"], "role": READER,
                "external_id": EXTERNAL_ID, "revoke_role": REVOKER, "revoke_external_id": REVOKING_ID, "endpoint": estate.aws.endpoint,
            },
            {"name": "entra", "provider": "azure", "tenant": TENANT, "graph": graph, "authority": graph, "management": graph,
             "ca": str(estate.graph.ca)},
            {"name": "google", "provider": "gcp", "organization": ORGANIZATION, "endpoint": estate.gcp.endpoint, "rest": estate.gcp.rest,
             "plaintext": True},
            {"name": "safe", "provider": "vault", "address": estate.front.address, "auth": {"method": "token"},
             "audit_log": str(estate.vault.audit_log)},
        ],
    }  # fmt: skip


def _partner(name: str, today: date) -> Entry:
    account = {"zeta": [ZETA_ACCOUNT], "omega": [OMEGA_ACCOUNT]}.get(name, [])
    tenant = {"zeta": [ZETA_TENANT], "omega": [OMEGA_TENANT]}.get(name, [])
    issuer = {"zeta": [ZETA_ISSUER], "omega": [OMEGA_ISSUER]}.get(name, [])
    return {
        "partner": {"id": name, "name": "<script>alert('delta')</script>" if name == "delta" else name.title()},
        "contract": {
            "reference": f"K-{name}", "starts": today - timedelta(900), "ends": today + timedelta(-3 if name == "zeta" else 300),
            "evidence_retention": "P7Y", "notify_within": "PT24H", "direct_evidence_access": True,
        },
        "footprint": {
            "aws_accounts": account, "entra_tenants": tenant, "oidc_issuers": issuer, "gcp_projects": [f"{name}-ops"],
            "email_domains": [f"{name}.example"], "name_patterns": [f"{name}-*"], "tags": {"partner": name},
        },
    }  # fmt: skip


def _workloads(estate: Kestrel, today: date) -> Iterable[Entry]:
    ids = estate.ids
    by_partner: dict[str, list[str]] = {
        name: [
            f"aws:{ALPHA}:user/{ids[f'user/{name}-batch']}",
            f"aws:{BETA}:user/{ids[f'user/{name}-reports']}",
            f"azure:{TENANT}:application/{ids[f'app/{name}']}",
            f"gcp:kestrel-prod:service-account/{ids[f'sa/{name}-loader']}",
            f"vault:safe:approle/{name}-sync",
        ]
        for name in ("zeta", "omega")
    }
    by_partner[""] = [
        f"aws:{ALPHA}:user/{ids['user/kestrel-ops']}",
        f"aws:{ALPHA}:role/{ids['role/shared-etl']}",
        f"aws:{BETA}:role/{ids['role/cross']}",
        f"aws:{ALPHA}:role/{ids['role/kestrel-app']}",
        f"azure:{TENANT}:application/{ids['app/own']}",
        f"gcp:kestrel-prod:service-account/{ids['sa/kestrel-app']}",
    ]
    for name, identities in by_partner.items():
        yield {
            "workload": f"{name or 'own'}-services",
            **({"partner": name} if name else {}),
            "owner": "ben", "backup_owner": "ada", "purpose": "work",
            "expires": today + timedelta(-3 if name == "zeta" else 200),
            "identities": identities,
        }  # fmt: skip


_CUSTOMER: Entry = {
    "customer": {"id": "kestrel", "name": "Kestrel Rail", "timezone": "Europe/London"},
    "footprint": {
        "aws_accounts": ["123456789012", ALPHA, BETA], "email_domains": ["kestrel.example"], "oidc_issuers": [OWN_ISSUER],
        "entra_tenants": [TENANT], "gcp_projects": ["kestrel-prod", "kestrel-data"],
    },
    "people": [{"id": name, "name": name.title(), "email": f"{name}@kestrel.example", "active": True} for name in PEOPLE],
    "external_people": [{"partner": name} for name in OUTSIDE],
    "policies": {"human": {"max_idle": "P90D"}, "machine": {"max_idle": "P45D", "rotate_within": {"aws_access_key": "P90D"}}},
    "revocation": {"watch": "P14D", "large": 100, "owed_within": "PT24H", "patience": "PT2S"},
}  # fmt: skip


def _control(name: str) -> Entry:
    step = {"R": "rex", "A": "ada"}
    return {
        "control": name,
        "objective": name,
        "owners": {"business": "ada", "technical": "rex", "operational": "rex"},
        "answers": {"approves": "ada", "implements": "rex", "monitors": "rex", "revokes": "rex"},
        "raci": {**dict.fromkeys(("provision", "rotate", "review"), step), "revoke": {"R": "rex", "A": "ben"}},
        "fallback": "rex",
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "PT1H"},
    }


def _yaml(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content, default=str)), sort_keys=False), encoding="utf-8")
