"""Facts from the inventory and the register: loads both into DuckDB and runs `facts.sql` over them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import TYPE_CHECKING

import duckdb

from countersign.inventory import TABLES, Reading, sql_text
from countersign.programme import claims
from countersign.register.check import exception_valid
from countersign.register.records import EXPIRY_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from countersign.programme import Programme
    from countersign.register.records import Footprint, Policy, Register

Row = tuple[object, ...]
_FOOTPRINT_KINDS = {
    "aws_accounts": "aws-account",
    "entra_tenants": "entra-tenant",
    "gcp_projects": "gcp-principal",
    "oidc_issuers": "oidc-issuer",
    "certificate_authorities": "x509-issuer",
    "email_domains": "email-domain",
    "name_patterns": "name-pattern",
}
_SCOPES_ARE = {"aws": "aws-account", "azure": "entra-tenant", "gcp": "gcp-principal"}
# Where whoever makes an identity chooses its name, and two may share one, a name in the register proves nothing.
_NAMES_PROVE_NOTHING = frozenset({("azure", "application"), ("azure", "service-principal"), ("vault", "token")})


@dataclass(frozen=True, slots=True)
class RegisterTable:
    """One table of the register as the facts read it."""

    name: str
    columns: str
    rows: tuple[Row, ...]


def register_tables(programme: Programme, as_of: datetime, found: Iterable[tuple[str, str]] = ()) -> tuple[RegisterTable, ...]:
    """Flatten the register, as it stood at `as_of` (UTC), into the tables that `facts.sql` joins.

    `found`: (provider, scope) that an organisation turned out to hold; like those configured, they are the customer's own.
    """
    register = programme.register
    live = {person.id for person in register.people.values() if person.active}
    workloads: list[Row] = []
    patterns: list[Row] = []
    for workload in register.workloads.values():
        accountable = next((person for person in (workload.owner, workload.backup_owner) if person in live), None)
        partner = register.partners.get(workload.partner or "")
        contract_ends = partner.contract.ends if partner is not None and partner.contract is not None else None
        expiry_is_declared = workload.expires is not None and (contract_ends is None or workload.expires <= contract_ends)
        workloads.append((
            workload.workload, workload.partner, workload.owner, workload.backup_owner, accountable, workload.owner in register.people,
            accountable is not None, expiry_is_declared, workload.expires,
        ))  # fmt: skip
        for pattern in workload.identities:
            provider, scope, rest = pattern.split(":", 2)
            kind, name = rest.split("/", 1)
            patterns.append((workload.workload, provider, scope, kind, name, (provider, kind) not in _NAMES_PROVE_NOTHING, "*" in name))
    return (
        RegisterTable("run", "as_of TIMESTAMP", ((_naive(as_of),),)),
        RegisterTable(
            "register_workloads",
            "workload VARCHAR, partner VARCHAR, owner VARCHAR, backup_owner VARCHAR, accountable VARCHAR, owner_named BOOLEAN, "
            "owner_is_live BOOLEAN, expiry_is_declared BOOLEAN, expires_on DATE",
            tuple(workloads),
        ),
        RegisterTable(
            "register_patterns",
            "workload VARCHAR, provider VARCHAR, scope VARCHAR, kind VARCHAR, name VARCHAR, by_name BOOLEAN, is_glob BOOLEAN",
            tuple(patterns),
        ),
        RegisterTable(
            "register_partners", "partner VARCHAR, contract_ends_at TIMESTAMP, contract_ends_on DATE", tuple(_contracts(register))
        ),
        RegisterTable(
            "register_footprint",
            "partner VARCHAR, kind VARCHAR, value VARCHAR, key VARCHAR",
            tuple(_footprints(register, claims(programme.sources) | set(found))),
        ),
        RegisterTable(
            "register_limits", "track VARCHAR, policy_kind VARCHAR, rotate_us BIGINT, must_expire BOOLEAN", tuple(_limits(register))
        ),
        RegisterTable(
            "register_policies",
            "track VARCHAR, max_idle_us BIGINT, overlap_us BIGINT, grace_us BIGINT, mfa_required BOOLEAN",
            tuple(
                (track, _us(policy.max_idle), _us(policy.overlap), _us(policy.grace), policy.mfa == "required")
                for track, policy in _policies(register)
            ),
        ),
        RegisterTable(
            "register_exceptions",
            "exception VARCHAR, control VARCHAR, subject VARCHAR, expires_at TIMESTAMP",
            tuple(
                (entry.exception, entry.control, entry.subject, _naive(register.end_of(entry.expires)))
                for entry in register.exceptions.values()
                if entry.expires is not None and exception_valid(register, entry, as_of) is None
            ),
        ),
        RegisterTable("register_controls", "control VARCHAR, accountable VARCHAR", tuple(_control_owners(register, live))),
    )


def write_register(tables: Iterable[RegisterTable], into: Path) -> None:
    """Keep the register's tables beside the inventory's, as Parquet: the verdicts can be recomputed from the evidence alone."""
    with duckdb.connect() as db:
        for table in tables:
            _create(db, table)
            db.execute(f"COPY {table.name} TO {sql_text(into / f'{table.name}.parquet')} (FORMAT parquet, COMPRESSION zstd)")


def build(database: Path, inventory: Path, tables: Iterable[RegisterTable], readings: Iterable[Reading]) -> None:
    """Make the `facts` of the DuckDB file `database` (a view of a Parquet file beside it), from the Parquet files under `inventory`."""
    with opened(database) as db:
        for name in TABLES:
            db.execute(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet({sql_text(inventory / f'{name}.parquet')})")
        for table in tables:
            _create(db, table)
        _create(
            db,
            RegisterTable(
                "scopes",
                "source VARCHAR, provider VARCHAR, scope VARCHAR, state VARCHAR, reason VARCHAR",
                tuple(
                    (reading.scope.source, reading.scope.provider, reading.scope.name, reading.state, reading.reason)
                    for reading in readings
                ),
            ),
        )
        # As Parquet beside the database: writing a table into it takes twice as long.
        query = resources.files("countersign").joinpath("facts.sql").read_text(encoding="utf-8")
        file = sql_text(database.with_suffix(".facts.parquet"))
        db.execute(f"COPY ({query}) TO {file} (FORMAT parquet, COMPRESSION lz4)")
        db.execute(f"CREATE OR REPLACE VIEW facts AS SELECT * FROM read_parquet({file})")


@contextmanager
def opened(database: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the run's scratch database with the limits of a small machine (1 GB before it spills to disk, two threads)."""
    with duckdb.connect(str(database)) as db:
        db.execute("SET memory_limit = '1GB'; SET threads = 2; SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
        yield db


def _create(db: duckdb.DuckDBPyConnection, table: RegisterTable) -> None:
    db.execute(f"CREATE OR REPLACE TABLE {table.name} ({table.columns})")
    if table.rows:
        db.executemany(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.rows[0]))})", table.rows)


def _contracts(register: Register) -> Iterator[Row]:
    for partner in register.partners.values():
        ends = partner.contract.ends if partner.contract is not None else None
        yield partner.id, None if ends is None else _naive(register.end_of(ends)), ends


def _footprints(register: Register, own: Iterable[tuple[str, str]]) -> Iterator[Row]:
    yield from (("", _SCOPES_ARE[provider], scope, None) for provider, scope in sorted(own) if provider in _SCOPES_ARE)
    # Whoever has a mailbox beside the customer's own people is no outside party.
    domains = {person.email.rpartition("@")[2].lower() for person in register.people.values() if person.email}
    yield from (("", "email-domain", domain, None) for domain in sorted(domains))
    for owner, footprint in (
        ("", register.customer.footprint),
        *((partner.id, partner.footprint) for partner in register.partners.values()),
    ):
        if footprint is not None:
            yield from _footprint(owner, footprint)


def _footprint(owner: str, footprint: Footprint) -> Iterator[Row]:
    for field, kind in _FOOTPRINT_KINDS.items():
        yield from ((owner, kind, value, None) for value in getattr(footprint, field))
    yield from ((owner, "tag", value, key) for key, value in footprint.tags.items())


def _limits(register: Register) -> Iterator[Row]:
    for track, policy in _policies(register):
        demanded = EXPIRY_REQUIRED if policy.expiry_required is None else policy.expiry_required
        for kind in sorted({*policy.rotate_within, *demanded}):
            yield track, kind, _us(policy.rotate_within.get(kind)), kind in demanded


def _policies(register: Register) -> tuple[tuple[str, Policy], ...]:
    return (("human", register.policies.human), ("machine", register.policies.machine))


def _control_owners(register: Register, live: set[str]) -> Iterator[Row]:
    for control in register.controls.values():
        steps = (control.raci.review, control.raci.rotate, control.raci.revoke, control.raci.provision) if control.raci is not None else ()
        named = [step.A for step in steps if step is not None]
        business = control.owners.business if control.owners is not None else None
        yield control.control, next((person for person in (business, *named, control.fallback) if person in live), None)


def _us(span: timedelta | None) -> int | None:
    return None if span is None else span // timedelta(microseconds=1)


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)
