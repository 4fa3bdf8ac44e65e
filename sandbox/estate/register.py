"""Writes Northwind's register and its `countersign.yaml`: who is accountable for which partner's access, and what was agreed.

Two rules of the register check are broken on purpose: the owner of `corvid-etl` has left, and `corvid-support` never expires.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.estate.gcp import NUMBERS
from sandbox.estate.places import (
    ACME_ACCOUNT,
    ACME_ISSUER,
    ACME_PROJECT,
    ACME_TENANT,
    BRIGHTPATH_ACCOUNT,
    BRIGHTPATH_PROJECT,
    BRIGHTPATH_TENANT,
    CORVID_ACCOUNT,
    CORVID_ISSUER,
    CORVID_PROJECT,
    CORVID_TENANT,
    DATA,
    EXTERNAL_ID,
    INVENTORY_ROLE,
    LABS,
    LEGACY,
    ORGANIZATION,
    PROD,
    SUBSIDIARY_PROJECT,
    SUBSIDIARY_TENANT,
    TENANT,
    guid,
)  # fmt: skip
from sandbox.estate.workloads import WORKLOADS

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.estate.clouds import Clouds

Entry = dict[str, Any]

GRAPH_CA = "clouds/graph-ca.pem"
"""Where the programme folder keeps the certificate of the authority that the sandbox's Graph shows."""
CONTRACT_OVER_DAYS = 40
"""So long ago the contract with brightpath ended."""

OBJECTIVES = {
    "named-owner": "Every machine identity and every partner's identity has a person of ours who answers for it.",
    "owner-live": "The people who answer for access still work here.",
    "workload-registered": "Every partner identity belongs to a use that we know and agreed to.",
    "expiry-declared": "Every agreed use ends on a day, no later than its contract.",
    "rotation-age": "Machine credentials are replaced before they are old enough to matter.",
    "credential-expiry": "Credentials that can expire do.",
    "expired-but-enabled": "What has expired is switched off, too.",
    "overlap-too-long": "A rotation is finished: the old credential goes within a week.",
    "inactive": "Access that nobody uses is taken away.",
    "contract-ended": "Access ends with the contract.",
    "unconditioned-trust": "Nobody from outside may act as a role of ours without a condition.",
    "unknown-third-party": "Everybody we trust from outside is somebody we know.",
    "human-mfa": "People log in with a second factor.",
    "over-privileged": "Neither machines nor partners are administrators.",
    "source-unobserved": "Every place that should be read is read, every night.",
}


def write(folder: Path, now: datetime, clouds: Clouds, *, caller_account: str) -> None:
    """Write `countersign.yaml`, with the addresses of the clouds, and `register/` into `folder`; dates are relative to `now` (UTC)."""
    today = now.date()
    register = folder / "register"
    _file(folder / "countersign.yaml", _config(clouds))
    _file(register / "customer.yaml", _customer(caller_account))
    for partner in _partners(today):
        _file(register / "partners" / f"{partner['partner']['id']}.yaml", partner)
    for control, objective in OBJECTIVES.items():
        _file(register / "controls" / f"{control}.yaml", _control(control, objective))
    ends, next_review = _ends(today), today + timedelta(days=300)
    for workload in WORKLOADS:
        _file(register / "workloads" / f"{workload.name}.yaml", workload.entry(ends.get(workload.partner or "", next_review)))
    _file(register / "exceptions" / "EX-0001.yaml", _exception(today))


class _Plain(yaml.SafeDumper):
    """Writes everything out: the register refuses anchors."""

    def ignore_aliases(self, data: object) -> bool:
        """Say that nothing is written as an alias."""
        del data
        return True


def _file(path: Path, content: Entry) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        yaml.dump(content, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=130, default_flow_style=None), encoding="utf-8"
    )


def _config(clouds: Clouds) -> Entry:
    graph = clouds.graph.address
    return {
        "customer": "northwind",
        "state": "sqlite:///state.db",
        "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
        "sources": [
            {
                "name": "aws", "provider": "aws", "organization": True, "regions": ["eu-west-2"],
                "role": INVENTORY_ROLE, "external_id": EXTERNAL_ID, "endpoint": clouds.aws.endpoint,
            },
            {
                "name": "entra", "provider": "azure", "tenant": TENANT, "graph": graph, "authority": graph, "management": graph,
                "ca": GRAPH_CA, "beta_reports": True,
            },
            {
                "name": "gcp", "provider": "gcp", "organization": ORGANIZATION,
                "endpoint": clouds.gcp.endpoint, "plaintext": True, "rest": clouds.gcp.rest,
            },
            {"name": "vault", "provider": "vault", "address": clouds.vault.address, "auth": {"method": "token"},
             "audit_log": str(clouds.vault.audit_log)},
            {"name": "exports", "provider": "files", "path": "exports/"},
        ],
        "desk": {"kind": "local"},
        "limits": {"max_new_share": 0.5, "max_gone_share": 0.3, "tickets_per_run": 200},
    }  # fmt: skip


def _customer(caller_account: str) -> Entry:
    return {
        "customer": {"id": "northwind", "name": "Northwind plc", "timezone": "Europe/London", "holidays": "GB"},
        "footprint": {
            "aws_accounts": [PROD, DATA, LEGACY, LABS, caller_account],
            "entra_tenants": [TENANT, SUBSIDIARY_TENANT],
            "gcp_projects": [*NUMBERS, SUBSIDIARY_PROJECT],
            "email_domains": ["northwind.example"],
        },
        "people": [
            {"id": "maria", "name": "Maria Keller", "email": "maria@northwind.example", "active": True},
            {"id": "devika", "name": "Devika Rao", "email": "devika@northwind.example", "active": True},
            {"id": "sam", "name": "Sam Osei", "email": "sam@northwind.example", "active": True},
            {"id": "tom", "name": "Tom Lindqvist", "email": "tom@northwind.example", "active": False},
        ],
        "external_people": [{"partner": "acme"}, {"partner": "brightpath"}, {"partner": "corvid"}],
        "teams": {"soc": "soc@northwind.example"},
        "policies": {
            "human": {"max_idle": "P90D", "mfa": "required", "review_every": "P180D"},
            "machine": {
                "max_idle": "P45D",
                "rotate_within": {
                    "aws_access_key": "P90D", "aws_secret": "P90D", "aws_service_credential": "P90D", "aws_signing_certificate": "P365D",
                    "aws_ssh_key": "P365D", "entra_secret": "P180D", "entra_certificate": "P365D",
                    "gcp_key": "P90D", "gcp_api_key": "P365D", "vault_secret_id": "P30D",
                },
                "max_ttl": "PT12H",
                "overlap": "P7D",
            },
        },
    }  # fmt: skip


def _ends(today: date) -> dict[str, date]:
    return {
        "acme": today + timedelta(days=430),
        "brightpath": today - timedelta(days=CONTRACT_OVER_DAYS),
        "corvid": today + timedelta(days=95),
    }


def _partners(today: date) -> tuple[Entry, ...]:
    def partner(name: str, title: str, reference: str, age: int, footprint: Entry) -> Entry:
        return {
            "partner": {"id": name, "name": title},
            "contract": {
                "reference": reference,
                "starts": today - timedelta(days=age),
                "ends": _ends(today)[name],
                "evidence_retention": "P7Y",
                "notify_within": "PT24H",
                "direct_evidence_access": True,
            },
            "contacts": {"escalation": [f"ops@{name}.example"], "security": f"soc@{name}.example"},
            "footprint": {
                **footprint,
                "email_domains": [f"{name}.example"],
                "name_patterns": [f"{name}-*", f"{name} *", f"CN={name}-*"],
                "tags": {"partner": name},
            },
        }

    return (
        partner(
            "acme", "Acme Managed Services", "C-2041", 640,
            {
                "aws_accounts": [ACME_ACCOUNT], "entra_tenants": [ACME_TENANT], "gcp_projects": [ACME_PROJECT],
                "oidc_issuers": [ACME_ISSUER],
            },
        ),
        partner(
            "brightpath", "Brightpath Analytics", "C-1877", 1140,
            {"aws_accounts": [BRIGHTPATH_ACCOUNT], "entra_tenants": [BRIGHTPATH_TENANT], "gcp_projects": [BRIGHTPATH_PROJECT]},
        ),
        partner(
            "corvid", "Corvid Integrations", "C-1302", 1730,
            {
                "aws_accounts": [CORVID_ACCOUNT], "entra_tenants": [CORVID_TENANT], "gcp_projects": [CORVID_PROJECT],
                "oidc_issuers": [CORVID_ISSUER],
            },
        ),
    )  # fmt: skip


def _control(control: str, objective: str) -> Entry:
    done = {"R": "devika", "A": "maria", "C": ["sam"], "I": ["soc"]}
    by_partner = {"R": "acme", "A": "maria", "C": ["devika"], "I": ["soc"]}
    return {
        "control": control,
        "objective": objective,
        "owners": {"business": "maria", "technical": "devika", "operational": "acme/pavel"},
        "answers": {"approves": "maria", "implements": "acme", "monitors": "devika", "revokes": "devika"},
        "raci": {"provision": by_partner, "rotate": dict(by_partner), "review": done, "revoke": dict(done)},
        "fallback": "devika",
        "slas": {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "PT1H"},
        "evidence": ["approvals", "last drill"],
    }


def _exception(today: date) -> Entry:
    return {
        "exception": "EX-0001",
        "control": "rotation-age",
        "subject": f"azure:{TENANT}:client-secret/{guid('secret/payroll-sync/2')}",
        "reason": "The payroll provider takes a new secret only in its change window.",
        "compensating_control": f"Sign-in of app {guid('app/payroll-sync')} is limited to the payroll network.",
        "exit_criteria": "The secret is replaced by the certificate in the next change window.",
        "requested_by": "devika",
        "approved_by": "maria",
        "expires": today + timedelta(days=21),
    }
