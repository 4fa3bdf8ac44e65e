"""A customer, makers of records, and the verdicts of one control, for the tests of the controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from countersign import facts
from countersign.expectation import expectations
from countersign.identity import Coverage, Credential, Grant, Identity, Observation, Record, Trust, uid
from countersign.inventory import collect, spool, unread
from countersign.programme import AwsSource
from countersign.reading import Scope
from countersign.register.records import (
    Contract,
    Control,
    Customer,
    Footprint,
    Partner,
    Person,
    Policies,
    Policy,
    Register,
    Slas,
    Workload,
)

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.identity import Power

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AWS, OTHER = "444455556666", "444455557777"
ACME, BRIGHT, STRANGER = "111122223333", "222233334444", "999900001111"
DARK = "it was not told"

Verdict = bool | str | None
"""True: it holds; False: it fails; a text: unknown, and why; None: it is not judged."""


def partner(name: str, account: str, ends: date | None = None) -> Partner:
    return Partner(
        id=name, name=name.title(), contract=Contract(reference="C-1", starts=date(2024, 1, 1), ends=ends),
        footprint=Footprint(aws_accounts=(account,), email_domains=(f"{name}.example",), tags={"partner": name}),
    )  # fmt: skip


def register(*workloads: Workload, **changes: Any) -> Register:
    held: dict[str, Any] = {
        "customer": Customer(id="northwind", name="Northwind", timezone="Europe/London"),
        "people": {name: Person(id=name, name=name.title(), active=name != "gone") for name in ("maria", "dev", "gone")},
        "partners": {"acme": partner("acme", ACME), "bright": partner("bright", BRIGHT, date(2026, 10, 31))},
        "policies": Policies(
            human=Policy(max_idle=90 * DAY, review_every=180 * DAY),
            machine=Policy(max_idle=45 * DAY, review_every=180 * DAY, rotate_within={"aws_access_key": 90 * DAY}),
        ),
        "controls": {"default": Control(control="default", slas=Slas(revoke=HOUR))},
        "workloads": {entry.workload: entry for entry in workloads},
        "digest": "sha256:0",
    }
    return Register(**(held | changes))


def workload(name: str, *identities: str, **changes: Any) -> Workload:
    held: dict[str, Any] = {
        "workload": name,
        "owner": "maria",
        "backup_owner": "dev",
        "purpose": "Nightly backup",
        "identities": identities,
    }
    return Workload(**(held | changes))


def one(name: str = "job", kind: str = "user", scope: str = AWS, provider: str = "aws", **changes: Any) -> Identity:
    held: dict[str, Any] = {
        "uid": uid(provider, scope, kind, f"ID-{name}"), "provider": provider, "scope": scope, "kind": kind, "native_id": f"ID-{name}",
        "name": name, "aliases": (f"arn:aws:iam::{scope}:{kind}/{name}",) if provider == "aws" else (), "track": "machine", "enabled": True,
        "console": False, "mfa": False, "created_at": AS_OF - 400 * DAY, "observed_at": AS_OF,
    }  # fmt: skip
    return Identity(**(held | changes))


def person(name: str = "ann", **changes: Any) -> Identity:
    return one(name, **({"track": "human", "console": True} | changes))


def key(of: Identity, used: timedelta | None = HOUR, kind: str = "access-key", **changes: Any) -> Credential:
    """Make a credential that was last used so long ago; None: never."""
    held: dict[str, Any] = {
        "uid": uid(of.provider, of.scope, kind, f"{of.name}-{kind}"), "identity_uid": of.uid, "provider": of.provider, "scope": of.scope,
        "kind": kind, "enabled": True, "created_at": AS_OF - 10 * DAY, "last_used_state": "never" if used is None else "known",
        "last_used_at": None if used is None else AS_OF - used, "observed_at": AS_OF,
    }  # fmt: skip
    return Credential(**(held | changes))


def password(of: Identity, used: timedelta | None = HOUR, **changes: Any) -> Credential:
    return key(of, used, "password", **changes)


def dim(name: str) -> dict[str, Any]:
    """Give what makes a record not say a field of its, with the reason."""
    return {name: None, "unknown": {name: DARK}}


def grant(of: Identity, power: Power | None = "administrator", scope: str | None = None, resource: str = "*") -> Grant:
    role = {"administrator": "AdministratorAccess", None: "Odd"}.get(power, "Some")
    return Grant(identity_uid=of.uid, provider=of.provider, scope=scope or of.scope, role=role, resource=resource, power=power)


def trust(of: Identity, party: str, kind: Any = "aws-account", condition: str | None = "sts:ExternalId") -> Trust:
    return Trust(identity_uid=of.uid, provider=of.provider, scope=of.scope, party_kind=kind, party=party, condition=condition)


def missing(scope: str, *covers: str, provider: str = "aws") -> Coverage:
    return Coverage(
        source=provider,
        provider=provider,
        scope=scope,
        operation="list",
        state="denied",
        covers=covers,
        error="refused",
        started=AS_OF,
        finished=AS_OF,
    )


def asked(caller: str, scope: str = AWS) -> Observation:
    return Observation(source="aws", scope=scope, operation="list", parameters={}, page=1, at=AS_OF, caller=caller, items=())


Estate = Iterable[Record] | Mapping[str, Iterable[Record]]
"""Records of one AWS account, or of several scopes by `provider:scope`."""


class Bench:
    """Judges estates, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nights = 0

    def rows(self, estate: Estate, held: Register | None = None, denied: Iterable[str] = ()) -> list[dict[str, Any]]:
        """Give the facts of an estate."""
        with facts.opened(self.database(estate, held, denied)) as db:
            cursor = db.execute("SELECT * FROM facts")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def database(self, estate: Estate, held: Register | None = None, denied: Iterable[str] = ()) -> Path:
        """Work out the facts of an estate, and give the database that has them."""
        self._nights += 1
        night = self._folder / str(self._nights)
        scopes = estate if isinstance(estate, dict) else {f"aws:{AWS}": estate}
        readings = [spool(found, _scope(name), night / "work", night / "observations") for name, found in scopes.items()]
        readings += [
            unread(_scope(name), "denied", "list", "refused", started=AS_OF, finished=AS_OF, work=night / "work") for name in denied
        ]
        settled = collect(readings, night / "work", night / "inventory")
        programme: Any = SimpleNamespace(
            register=held or register(), sources=(AwsSource(name="aws", accounts=(AWS, OTHER), regions=("eu-west-2",)),), vendors=None
        )
        database = night / "facts.duckdb"
        facts.build(database, night / "inventory", facts.register_tables(programme, AS_OF), settled)
        return database

    def verdicts(self, control: str, estate: Estate, held: Register | None = None, denied: Iterable[str] = ()) -> dict[str, Verdict]:
        """Give the verdict of a control on each of its subjects, by what comes after the last slash of the subject; sources are left out."""
        kinds = RECORDS[control].subjects
        rows = [row for row in self.rows(estate, held, denied) if row["subject_kind"] in kinds and row["kind"] != "source"]
        return {row["subject"].rpartition("/")[2].removeprefix("ID-"): verdict(control, row) for row in rows}


def _scope(name: str) -> Scope:
    provider, _, scope = name.partition(":")
    return Scope(provider, provider, scope)


def verdict(control: str, row: dict[str, Any]) -> Verdict:
    """Judge one row by what the control's record names."""
    record = RECORDS[control]
    population, value = row[record.population], row[record.holds.column]
    if population is False:
        return None
    if population is None or value is None:
        return next((row[why] for why in record.unknown_from if row[why] is not None), "not known")
    arguments = dict(record.holds.arguments)
    if "value_set" in arguments:
        return value in arguments["value_set"]  # type: ignore[operator] # a tuple
    return bool(value <= arguments["max_value"])


RECORDS = {record.id: record for record in expectations()}
