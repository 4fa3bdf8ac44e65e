"""The register as tables: what `facts/` joins with the inventory, as the register stood at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from countersign.expectation import expectations
from countersign.programme import claims
from countersign.register.exceptions import exception_valid
from countersign.register.policy import effective, in_words
from countersign.register.records import EXPIRY_REQUIRED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from countersign.programme import Programme
    from countersign.register.policy import Effective
    from countersign.register.records import Footprint, Policy, Register, Workload
    from countersign.vendors import Vendors

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
NAMES_PROVE_NOTHING = frozenset({("azure", "application"), ("azure", "service-principal"), ("vault", "token")})


@dataclass(frozen=True, slots=True)
class RegisterTable:
    """One table of the register as the facts read it."""

    name: str
    columns: str
    rows: tuple[Row, ...]


def register_tables(programme: Programme, as_of: datetime, found: Iterable[tuple[str, str]] = ()) -> tuple[RegisterTable, ...]:
    """Flatten the register, as it stood at `as_of` (UTC), into the tables that the SQL files join.

    `found`: (provider, scope) that an organisation turned out to hold; like those configured, they are the customer's own.
    """
    register = programme.register
    policies = _Policies(register, as_of)
    workloads = tuple(_workload(register, entry, policies) for entry in register.workloads.values())
    defaults = tuple(policies.defaults())
    by_scope = tuple(policies.by_scope())
    return (
        RegisterTable("run", "as_of TIMESTAMP", ((_naive(as_of),),)),
        RegisterTable(
            "register_workloads",
            "workload VARCHAR, partner VARCHAR, owner VARCHAR, backup_owner VARCHAR, accountable VARCHAR, owner_named BOOLEAN, "
            "owner_is_live BOOLEAN, purpose VARCHAR, environment VARCHAR, expiry_is_declared BOOLEAN, expires_on DATE, "
            "expires_at TIMESTAMP, reviewed_at TIMESTAMP, reviewed_on DATE, reviewed_by VARCHAR, policy INTEGER",
            workloads,
        ),
        RegisterTable(
            "register_patterns",
            "workload VARCHAR, provider VARCHAR, scope VARCHAR, kind VARCHAR, name VARCHAR, by_name BOOLEAN, is_glob BOOLEAN",
            tuple((entry.workload, *_pattern(text)) for entry in register.workloads.values() for text in entry.identities),
        ),
        RegisterTable(
            "register_partners", "partner VARCHAR, contract_ends_at TIMESTAMP, contract_ends_on DATE", tuple(_contracts(register))
        ),
        RegisterTable(
            "register_footprint",
            "partner VARCHAR, kind VARCHAR, value VARCHAR, key VARCHAR",
            tuple(_footprints(register, claims(programme.sources) | set(found))),
        ),
        RegisterTable("register_default_policies", "partner VARCHAR, environment VARCHAR, policy INTEGER", defaults),
        RegisterTable("register_scope_policies", "workload VARCHAR, environment VARCHAR, policy INTEGER", by_scope),
        RegisterTable(
            "register_environments",
            "environment VARCHAR, provider VARCHAR, scope VARCHAR",
            tuple((name, *scope.split(":", 1)) for name, entry in register.policies.environments.items() for scope in entry.scopes),
        ),
        RegisterTable(
            "register_limits",
            "policy INTEGER, track VARCHAR, policy_kind VARCHAR, rotate_us BIGINT, rotate_limit VARCHAR, must_expire BOOLEAN, "
            "lifetime_us BIGINT, lifetime_limit VARCHAR",
            tuple(policies.limits()),
        ),
        RegisterTable(
            "register_policies",
            "policy INTEGER, track VARCHAR, max_idle_us BIGINT, idle_limit VARCHAR, overlap_us BIGINT, overlap_limit VARCHAR, "
            "grace_us BIGINT, max_ttl_us BIGINT, ttl_limit VARCHAR, review_us BIGINT, mfa_required BOOLEAN",
            tuple(policies.rows()),
        ),
        RegisterTable(
            "register_incidents",
            "incident VARCHAR, partner VARCHAR, declared_at TIMESTAMP, revoke_us BIGINT, reason VARCHAR",
            tuple(_incidents(register, as_of)),
        ),
        RegisterTable(
            "register_incident_patterns",
            "incident VARCHAR, provider VARCHAR, scope VARCHAR, kind VARCHAR, name VARCHAR, by_name BOOLEAN, is_glob BOOLEAN",
            tuple((entry.incident, *_pattern(text)) for entry in register.incidents.values() for text in entry.identities),
        ),
        RegisterTable(
            "register_exceptions",
            "exception VARCHAR, control VARCHAR, subject VARCHAR, expires_at TIMESTAMP",
            tuple(_exceptions(register, as_of)),
        ),
        RegisterTable("register_controls", "control VARCHAR, accountable VARCHAR", tuple(_control_owners(register))),
        RegisterTable("register_vendors", "account VARCHAR, vendor VARCHAR, file VARCHAR", tuple(_vendors(programme.vendors))),
    )


class _Policies:
    """The distinct sets of limits that are in force at an instant, each under a number; 0 is the customer's general one."""

    def __init__(self, register: Register, at: datetime) -> None:
        self._register = register
        self._at = at
        self.today = register.today(at)
        self._numbers: dict[str, int] = {}
        self._held: list[Effective] = []
        self.number(partner=None, environment=None)

    def number(self, *, partner: str | None, environment: str | None, workload: Workload | None = None) -> int:
        """Return the number of the limits that hold for a workload, or for whatever else a partner has in an environment."""
        policy = effective(self._register, self._at, partner=partner, environment=environment, workload=workload)
        key = repr(policy)
        if key not in self._numbers:
            self._numbers[key] = len(self._held)
            self._held.append(policy)
        return self._numbers[key]

    def defaults(self) -> Iterator[Row]:
        """Yield the limits of whatever no workload names, by partner and environment; empty text stands for none."""
        for partner in (None, *self._register.partners):
            for environment in (None, *self._register.policies.environments):
                yield partner or "", environment or "", self.number(partner=partner, environment=environment)

    def rows(self) -> Iterator[Row]:
        """Yield one row for each number and track."""
        for number, track, limits, said in self._tracks():
            yield (
                number, track, _us(limits.max_idle), said("max_idle", limits.max_idle),
                _us(limits.overlap), said("overlap", limits.overlap), _us(limits.grace),
                _us(limits.max_ttl), said("max_ttl", limits.max_ttl), _us(limits.review_every), limits.mfa == "required",
            )  # fmt: skip

    def limits(self) -> Iterator[Row]:
        """Yield one row for each number, track and kind of credential that has a limit of its own."""
        for number, track, limits, said in self._tracks():
            demanded = EXPIRY_REQUIRED if limits.expiry_required is None else limits.expiry_required
            for kind in sorted({*limits.rotate_within, *limits.max_lifetime, *demanded}):
                rotate, lifetime = limits.rotate_within.get(kind), limits.max_lifetime.get(kind)
                yield (
                    number, track, kind, _us(rotate), said(f"rotate_within.{kind}", rotate), kind in demanded,
                    _us(lifetime), said(f"max_lifetime.{kind}", lifetime),
                )  # fmt: skip

    def by_scope(self) -> Iterator[Row]:
        """Yield the limits of each workload that names no environment the policies know, where its scope's makes a difference."""
        environments = self._register.policies.environments
        for entry in self._register.workloads.values():
            general = self.number(partner=entry.partner, environment=entry.environment, workload=entry)
            for environment in environments if entry.environment not in environments else ():
                number = self.number(partner=entry.partner, environment=environment, workload=entry)
                if number != general:
                    yield entry.workload, environment, number

    def _tracks(self) -> Iterator[tuple[int, str, Policy, Callable[[str, timedelta | None], str | None]]]:
        """Yield number, track, limits, and what puts a limit into words, with whose it is where it is not the general one."""
        for number, policy in enumerate(self._held):
            for track, limits in (("human", policy.human), ("machine", policy.machine)):
                yield number, track, limits, partial(_said, policy.whose, track)


def _said(whose: Mapping[str, str], track: str, field: str, limit: timedelta | None) -> str | None:
    who = whose.get(f"{track}.{field}")
    return None if limit is None else in_words(limit) if who is None else f"{in_words(limit)} ({who})"


def _workload(register: Register, entry: Workload, policies: _Policies) -> Row:
    accountable = next((ref for ref in (entry.owner, entry.backup_owner) if register.live(ref) is not None), None)
    partner = register.partners.get(entry.partner or "")
    contract_ends = partner.contract.ends if partner is not None else None
    within = entry.expires is not None and (contract_ends is None or entry.expires <= contract_ends)
    # Only who answers for it can say that its access is right; a review stands from the end of its day, once that has come.
    reviews = [review for review in entry.reviews if review.by in (entry.owner, entry.backup_owner) and review.on <= policies.today]
    last = max(reviews, key=lambda review: review.on, default=None)
    return (
        entry.workload, entry.partner, entry.owner, entry.backup_owner, accountable, entry.owner in register.people,
        accountable is not None,
        entry.purpose, entry.environment, within, entry.expires, None if entry.expires is None else _naive(register.end_of(entry.expires)),
        None if last is None else _naive(register.end_of(last.on)), None if last is None else last.on, None if last is None else last.by,
        policies.number(partner=entry.partner, environment=entry.environment, workload=entry),
    )  # fmt: skip


def _pattern(text: str) -> Row:
    provider, scope, rest = text.split(":", 2)
    kind, name = rest.split("/", 1)
    return provider, scope, kind, name, (provider, kind) not in NAMES_PROVE_NOTHING, "*" in name


def _incidents(register: Register, at: datetime) -> Iterator[Row]:
    """Yield the incidents that are declared and open at an instant."""
    control = register.control("incident-open")
    revoke = None if control is None else control.slas.revoke
    for entry in register.incidents.values():
        if entry.declared_at <= at and (entry.closed_at is None or entry.closed_at > at):
            yield entry.incident, entry.partner, _naive(entry.declared_at), _us(revoke or timedelta()), entry.reason


def _exceptions(register: Register, at: datetime) -> Iterator[Row]:
    """Yield the exceptions that hold at an instant; where two are from one control for one subject, the one that ends last."""
    held = [entry for entry in register.exceptions.values() if exception_valid(register, entry, at) is None]
    last = {(entry.control, entry.subject): entry for entry in sorted(held, key=lambda entry: (entry.expires, entry.exception))}
    for entry in last.values():
        yield entry.exception, entry.control, entry.subject, _naive(register.end_of(entry.expires))


def _contracts(register: Register) -> Iterator[Row]:
    for partner in register.partners.values():
        ends = partner.contract.ends
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


def _control_owners(register: Register) -> Iterator[Row]:
    for control_id in sorted({*register.controls, *(record.id for record in expectations())}):
        control = register.control(control_id)
        if control is not None:
            raci = control.raci
            named = [step.A for step in (raci.review, raci.rotate, raci.revoke, raci.provision) if step is not None]
            people = (control.owners.business, *named, control.fallback)
            yield control_id, next((person for person in people if register.live(person) is not None), None)


def _vendors(held: Vendors | None) -> Iterator[Row]:
    if held is not None:
        yield from ((account, name, held.file) for account, name in held.names.items())


def _us(span: timedelta | None) -> int | None:
    return None if span is None else span // timedelta(microseconds=1)


def _naive(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(tzinfo=None)
