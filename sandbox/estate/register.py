"""Writes Northwind's register and its `countersign.yaml`: who is accountable for which partner's access, and what was agreed.

Four rules of the register check are broken on purpose: the owner of `corvid-etl` has left, and nobody says what it is for;
`corvid-support` never expires; an exception has run out, and nobody ended it.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from countersign.register.exceptions import statement
from countersign.register.load import load_register
from sandbox.estate import controls
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
    PROJECT,
    REVOCATION_ID,
    REVOCATION_ROLE,
    SUBSIDIARY_PROJECT,
    SUBSIDIARY_TENANT,
    TENANT,
)  # fmt: skip
from sandbox.estate.workloads import WORKLOADS
from sandbox.ssh_keys import Key

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.estate.clouds import Clouds

Entry = dict[str, Any]

GRAPH_CA = "clouds/graph-ca.pem"
"""Where the programme folder keeps the certificate of the authority that the sandbox's Graph shows."""
TSA_CA = "clouds/tsa-ca.pem"
"""And where that of the root of the sandbox's timestamps."""
SIGNERS = ("maria", "sam", "devika")
"""People whose SSH keys the programme folder keeps, under keys/people; anybody else's would be their own affair."""
CONTRACT_OVER_DAYS = 40
"""So long ago the contract with brightpath ended."""


def write(folder: Path, now: datetime, clouds: Clouds, *, caller_account: str) -> None:
    """Write `countersign.yaml`, with the addresses of the clouds, and `register/` into `folder`; dates are relative to `now` (UTC)."""
    today = now.date()
    register = folder / "register"
    _file(folder / "countersign.yaml", _config(clouds))
    _file(register / "customer.yaml", _customer(caller_account))
    for partner in _partners(today):
        _file(register / "partners" / f"{partner['partner']['id']}.yaml", partner)
    for control in controls.controls():
        _file(register / "controls" / f"{control['control']}.yaml", control)
    ends, next_review = _ends(today), today + timedelta(days=300)
    for workload in WORKLOADS:
        _file(register / "workloads" / f"{workload.name}.yaml", workload.entry(today, ends.get(workload.partner or "", next_review)))
    keys = {person: Key() for person in SIGNERS}
    for person, key in keys.items():
        key.keep(folder / "keys" / "people" / person)
    _text(register / "allowed_signers", "".join(key.line(person, 'namespaces="countersign,git"') for person, key in keys.items()))
    for exception in controls.exceptions(today):
        _file(register / "exceptions" / f"{exception['exception']}.yaml", exception)
    for incident in controls.incidents(now):
        _file(register / "incidents" / f"{incident['incident']}.yaml", incident)
    _sign_exceptions(register, keys)


def _sign_exceptions(register: Path, keys: dict[str, Key]) -> None:
    """Sign the exceptions as those who approved them would have, over what the register says of each."""
    loaded = load_register(register)
    for exception in loaded.exceptions.values():
        approver, on = exception.approved_by, exception.approved_on
        if approver is not None and on is not None and exception.approval is not None:
            signed = keys[approver].sign(statement(loaded, exception, approver, on).message())
            _text(register / "exceptions" / exception.approval, signed)


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


def _text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _config(clouds: Clouds) -> Entry:
    graph = clouds.graph.address
    return {
        "customer": "northwind",
        "state": "sqlite:///state.db",
        "evidence": {
            "store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y",
            "timestamps": {"url": clouds.tsa.address, "ca": TSA_CA},
        },
        "sources": [
            {
                "name": "aws", "provider": "aws", "organization": True, "regions": ["eu-west-2"],
                "role": INVENTORY_ROLE, "external_id": EXTERNAL_ID, "revoke_role": REVOCATION_ROLE, "revoke_external_id": REVOCATION_ID,
                "endpoint": clouds.aws.endpoint,
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
                "review_every": "P365D",
                "rotate_within": {
                    "aws_access_key": "P90D", "aws_secret": "P90D", "aws_service_credential": "P90D", "aws_signing_certificate": "P365D",
                    "aws_ssh_key": "P365D", "entra_secret": "P180D", "entra_certificate": "P365D",
                    "gcp_key": "P90D", "gcp_api_key": "P365D", "vault_secret_id": "P30D",
                },
                "max_ttl": "PT12H",
                "max_lifetime": {"entra_secret": "P365D", "gcp_key": "P365D"},
                "overlap": "P7D",
            },
            "environments": {
                "production": {"scopes": [f"aws:{PROD}", f"gcp:{PROJECT}"], "machine": {"rotate_within": {"aws_access_key": "P60D"}}},
            },
        },
        "drills": {"remediation": "P90D", "exception": "P180D"},
        "exceptions": {"max_span": "P90D", "max_renewals": 1},
    }  # fmt: skip


def _ends(today: date) -> dict[str, date]:
    return {
        "acme": today + timedelta(days=430),
        "brightpath": today - timedelta(days=CONTRACT_OVER_DAYS),
        "corvid": today + timedelta(days=95),
    }


def _partners(today: date) -> tuple[Entry, ...]:
    def partner(name: str, title: str, reference: str, age: int, footprint: Entry, **more: Entry) -> Entry:
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
            **more,
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
            policies={"machine": {"rotate_within": {"aws_access_key": "P45D"}}},
        ),
    )  # fmt: skip
