"""Northgate Rail's programme folder: six partners, a register with one hole for each of its rules, and limits for each place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml
from controls_estate import ACME, COBALT, DARK, HIST, LAB, MAIN, MIST, PROJECT, SIDE, SLOW, STRANGER, TENANT

from countersign.evidence import signer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Entry = dict[str, Any]

CUSTOMER: Entry = {
    "customer": {"id": "northgate", "name": "Northgate Rail", "timezone": "Europe/London"},
    "people": [
        {"id": "maria", "name": "Maria Keller", "email": "maria@northgate.example", "active": True},
        {"id": "dev", "name": "Dev Patel", "email": "dev@northgate.example", "active": True},
        {"id": "ivy", "name": "Ivy Brandt", "email": "ivy@northgate.example", "active": True},
        {"id": "lee", "name": "Lee Wong", "email": "lee@northgate.example", "active": False},
    ],
    "external_people": [{"partner": "acme"}],
    "policies": {
        "human": {"max_idle": "P90D", "mfa": "required", "review_every": "P180D", "rotate_within": {"aws_access_key": "P90D"}},
        "machine": {
            "max_idle": "P45D", "overlap": "P7D", "review_every": "P180D", "max_ttl": "PT12H", "max_lifetime": {"entra_secret": "P365D"},
            "rotate_within": {"aws_access_key": "P90D", "entra_secret": "P180D", "gcp_key": "P90D"},
        },
        "environments": {
            "production": {"scopes": [f"aws:{MAIN}"], "machine": {"rotate_within": {"aws_access_key": "P60D"}}},
            "lab": {"scopes": [f"aws:{LAB}"], "machine": {"rotate_within": {"aws_access_key": "P180D"}}},
        },
    },
    "drills": {"remediation": "P90D", "exception": "P180D"},
    "exceptions": {"max_span": "P180D", "max_renewals": 2},
}  # fmt: skip

SLAS = {"detect": "PT24H", "escalate": "PT4H", "rotate": "P7D", "revoke": "PT1H"}
REVIEWED = [{"by": "maria", "on": "2026-09-30", "note": "all still needed"}]


def control(name: str, **changes: Any) -> Entry:
    """Give a control with every owner, answer and service level, but for the changes."""
    step = {"R": "dev", "A": "maria"}
    return {
        "control": name, "objective": "what it says", "owners": {"business": "dev", "technical": "dev", "operational": "acme/pavel"},
        "answers": {"approves": "maria", "implements": "acme", "monitors": "dev", "revokes": "dev"},
        "raci": dict.fromkeys(("provision", "rotate", "review", "revoke"), step), "fallback": "dev", "slas": SLAS, **changes,
    }  # fmt: skip


def workload(name: str, *identities: str, partner: str | None = None, **changes: Any) -> Entry:
    """Give a workload in order, but for the changes; None takes a field away."""
    entry = {
        "workload": name, "partner": partner, "owner": "maria", "backup_owner": "dev", "purpose": "Keeps the trains running",
        "expires": "2026-12-31" if partner else "2027-06-30", "reviews": REVIEWED, "identities": list(identities),
    } | changes  # fmt: skip
    return {key: value for key, value in entry.items() if value is not None}


def exception(name: str, subject: str, **changes: Any) -> Entry:
    """Give a valid exception from rotation-age, but for the changes; None takes a field away."""
    entry = {
        "exception": name, "control": "rotation-age", "subject": subject, "reason": "The vendor needs until spring",
        "compensating_control": "An allow-list of addresses", "exit_criteria": "The vendor has rotated", "requested_by": "acme/pavel",
        "approved_by": "maria", "approved_on": "2026-11-01", "expires": "2026-12-31",
    } | changes  # fmt: skip
    return {key: value for key, value in entry.items() if value is not None}


def partners() -> dict[str, Entry]:
    """Give the partners' files by id."""
    agreed = {
        "starts": "2024-02-01",
        "ends": "2027-01-31",
        "evidence_retention": "P7Y",
        "notify_within": "PT24H",
        "direct_evidence_access": True,
    }
    contacts = {"escalation": ["ops@partner.example"], "security": "soc@partner.example"}
    found: dict[str, Entry] = {}
    for name, footprint in (
        ("acme", {"aws_accounts": [ACME], "tags": {"partner": "acme"}}),
        ("cobalt", {"aws_accounts": [COBALT], "tags": {"partner": "cobalt"}}),
        ("boreal", {"tags": {"partner": "boreal"}}),
        ("dune", {"oidc_issuers": ["https://shared.example"]}),
        ("echo", {"oidc_issuers": ["https://shared.example"]}),
    ):
        contract = {"reference": f"C-{name}", **agreed}
        found[name] = {"partner": {"id": name, "name": name.title()}, "contract": contract, "contacts": contacts, "footprint": footprint}
    found["acme"]["policies"] = {"machine": {"rotate_within": {"aws_access_key": "P30D"}}}
    found["cobalt"]["policies"] = {"machine": {"max_idle": "P300D"}}
    del found["cobalt"]["contract"]["evidence_retention"]
    found["boreal"]["contract"]["ends"] = "2026-10-31"
    return found


def workloads(subjects: Mapping[str, str]) -> list[Entry]:
    """Give the workloads; applications of Entra are registered by their ids, since anybody may choose their names."""
    apps = [subject for label, subject in sorted(subjects.items()) if label.startswith("app-") and "/" not in label]
    loose = {"machine": {"rotate_within": {"aws_access_key": "P200D"}}}
    return [
        workload(
            "services", "aws:*:user/svc-*", "aws:*:role/svc-*", f"aws:{MAIN}:role/northgate-reader", "gcp:*:service-account/svc-*",
            "vault:*:approle/svc-*", *apps,
        ),
        workload("acme-jobs", "aws:*:user/acme-*", "aws:*:role/acme-*", "vault:*:approle/acme-*", partner="acme"),
        workload("rollout", f"aws:{MAIN}:role/rollout", partner="acme"),
        workload("lax", "aws:*:user/lax-bot", policies=loose),
        workload("lax-allowed", "aws:*:user/lax-allowed", "aws:*:user/lax-allowed-old", policies=loose),
        workload("left", "aws:*:user/left-*", owner="lee", backup_owner=None, reviews=[REVIEWED[0] | {"by": "lee"}]),
        workload("half-left", "aws:*:user/half-left-bot", owner="lee", reviews=[REVIEWED[0] | {"by": "dev"}]),
        workload("aimless", "aws:*:user/aimless-*", purpose=None),
        workload("endless", "aws:*:user/endless-*", expires=None),
        workload("late", "aws:*:user/late-bot", partner="acme", expires="2027-02-28"),
        workload("ended", "aws:*:user/ended-*", expires="2026-11-10"),
        workload("today", "aws:*:user/today-bot", expires="2026-11-22"),
        workload("boreal-jobs", "aws:*:user/boreal-*", partner="boreal", expires="2026-10-31"),
        workload("cobalt-jobs", "aws:*:user/cobalt-*", partner="cobalt"),
        workload("dune-jobs", "aws:*:user/dune-*", partner="dune"),
        workload("stale", "aws:*:user/stale-*", reviews=[{"by": "maria", "on": "2026-04-01", "note": "in spring"}]),
        workload("wrong-reviewer", "aws:*:user/wrong-reviewer-*", reviews=[{"by": "ivy", "on": "2026-10-01", "note": "not hers to say"}]),
        workload("never", "aws:*:user/never-*", reviews=None),
    ]  # fmt: skip


def exceptions(subjects: Mapping[str, str]) -> list[Entry]:
    """Give the exceptions: EX-0 and EX-8 hold, EX-5 is asked for only, the others are none for a reason each."""
    key = [subjects[f"svc-ex-{number}/key"] for number in range(9)]
    renewed = [exception(f"EX-R{n}", key[8], expires=f"2026-{8 + n:02}-28", renews=f"EX-R{n - 1}" if n else None) for n in range(4)]
    renewed[3]["expires"] = "2026-12-28"
    return [
        exception("EX-0", key[0]),
        exception("EX-1", key[1], expires="2026-11-21"),
        exception("EX-2", key[2], requested_by="maria"),
        exception("EX-3", key[3], approved_by="lee"),
        exception("EX-4", key[4], approved_by="acme/pavel", requested_by="dev"),
        exception("EX-5", key[5], approved_by=None, approved_on=None),
        exception("EX-6", key[6], approved_by="dev"),
        exception("EX-7", key[7], expires="2027-10-01"),
        exception("EX-8", "register:northgate:workload/lax-allowed", requested_by="dev", expires="2027-01-31"),
        *renewed,
    ]


def controls() -> list[Entry]:
    """Give the entry for all controls, and five that each break one rule."""
    step = {"R": "dev", "A": "maria"}
    owners = {"business": "dev", "technical": "lee", "operational": "acme/pavel"}
    answers = {"approves": "maria", "implements": "acme", "monitors": "dev", "revokes": "dev"}
    return [
        control("default"),
        control("machine-console", owners=owners),
        control("human-unattended", raci=dict.fromkeys(("provision", "rotate", "revoke"), step)),
        control("derived-identity", answers=answers | {"approves": "acme"}),
        control("replicated-access", slas={name: span for name, span in SLAS.items() if name != "revoke"}),
        control("static-where-federation", answers=answers | {"monitors": ["dev", "ghost"]}),
    ]


def incidents() -> list[Entry]:
    """Give the incidents: two open beyond an hour, one fresh, one closed."""

    def incident(name: str, declared: str, *users: str, **facets: Any) -> Entry:
        entry = {"incident": name, "declared_at": declared, "declared_by": "dev", "reason": "A key was seen elsewhere", "closed_at": None}
        return entry | ({"identities": [f"aws:*:user/{user}" for user in users]} if users else {}) | facets

    return [
        incident("INC-1", "2026-11-20T08:00:00Z", "svc-inc-open", "svc-inc-off", "svc-inc-maybe"),
        incident("INC-2", "2026-11-20T08:00:00Z", partner="dune"),
        incident("INC-3", "2026-11-22T01:30:00Z", "svc-inc-fresh"),
        incident("INC-4", "2026-11-20T08:00:00Z", "svc-inc-closed", closed_at="2026-11-21T08:00:00Z"),
    ]


CONFIGURATION: Entry = {
    "customer": "northgate",
    "state": "sqlite:///state.db",
    "evidence": {"store": "evidence/", "signer": "file:keys/evidence.pem", "retention": "P7Y"},
    "vendors": "vendors.yaml",
    "sources": [
        {
            "name": "aws",
            "provider": "aws",
            "accounts": [MAIN, SIDE, LAB, HIST, SLOW, DARK, MIST],
            "regions": ["eu-west-2"],
            "role": "northgate-reader",
        },
        {"name": "entra", "provider": "azure", "tenant": TENANT},
        {"name": "gcp", "provider": "gcp", "projects": [PROJECT]},
        {"name": "safe", "provider": "vault", "address": "https://vault.northgate.example:8200"},
    ],
    "limits": {"max_new_share": 1.0, "max_gone_share": 1.0},
}
VENDORS = [{"name": "Datalynx", "type": "aws", "source": ["https://docs.datalynx.example"], "accounts": [STRANGER]}]


def write(folder: Path, subjects: Mapping[str, str]) -> Path:
    """Write the programme folder, with a key of its own."""
    folder.mkdir(parents=True)
    signer.keygen(folder / "keys" / "evidence.pem")
    _yaml(folder / "countersign.yaml", CONFIGURATION)
    _yaml(folder / "vendors.yaml", VENDORS)
    register = folder / "register"
    _yaml(register / "customer.yaml", CUSTOMER)
    for name, entry in partners().items():
        _yaml(register / "partners" / f"{name}.yaml", entry)
    for kind, key, entries in (
        ("workloads", "workload", workloads(subjects)),
        ("exceptions", "exception", exceptions(subjects)),
        ("controls", "control", controls()),
        ("incidents", "incident", incidents()),
    ):
        for entry in entries:
            _yaml(register / kind / f"{entry[key]}.yaml", entry)
    return folder


def _yaml(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(content))  # one object in two places would be written as an anchor
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
