"""Whose an identity is: ranked evidence, who created whom to any depth, contradictions and copies, against a plain Python oracle."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.aws import creators as aws_creators
from connectors.vault.records import WHO_MADE_IT
from countersign import facts
from countersign.aws_documents import records as aws_records
from countersign.identity import Coverage, Grant, Identity, Trust
from countersign.inventory import collect, spool
from countersign.programme import AwsSource
from countersign.reading import Scope
from countersign.register.records import Contract, Customer, Footprint, Partner, Person, Policies, Policy, Register, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pytest

    from countersign.identity import Record

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
MAIN, SIDE, DARK = "444455556666", "444455557777", "444455558888"
TENANT, NORDIC = "3f0e8a52-6a0c-4b0e-9d8e-0c5a1d2b7f10", "91b7c3e6-40d2-4f5a-8e16-7d2a9c04be53"
ACCOUNTS = {"acme": "111122223333", "cobalt": "222233334444"}
OLD = "older than the 90 days that CloudTrail looks back"
DENIED = "cloudtrail:LookupEvents: us-east-1: AccessDenied"
UNREAD = "the trust policy could not be read"


def register(*workloads: Workload) -> Register:
    def partner(name: str, account: str) -> Partner:
        agreed = Contract(reference=name, starts=date(2025, 1, 1), ends=date(2027, 1, 1))
        footprint = Footprint(
            aws_accounts=(account,), tags={"partner": name}, name_patterns=(f"{name}-*",), email_domains=(f"{name}.example",)
        )
        return Partner(id=name, name=name.title(), contract=agreed, footprint=footprint)

    return Register(
        customer=Customer(id="northwind", name="Northwind", timezone="Europe/London"),
        people={"maria": Person(id="maria", name="Maria", active=True)},
        partners={name: partner(name, account) for name, account in ACCOUNTS.items()},
        policies=Policies(human=Policy(), machine=Policy()),
        workloads={entry.workload: entry for entry in workloads},
        digest="sha256:0",
    )


def workload(name: str, *identities: str, partner: str | None = None) -> Workload:
    return Workload(workload=name, partner=partner, owner="maria", purpose="x", identities=identities)


def judged(folder: Path, records: Iterable[Record], held: Register | None = None) -> dict[str, dict[str, Any]]:
    """Give the facts of each identity by the end of its subject."""
    by_scope: dict[tuple[str, str], list[Any]] = {}
    for record in records:
        place: Any = record
        by_scope.setdefault((place.provider, place.scope), []).append(record)
    readings = [spool(rows, Scope("s", provider, scope), folder / "work", folder / "seen") for (provider, scope), rows in by_scope.items()]
    settled = collect(readings, folder / "work", folder / "inventory")
    source = AwsSource(name="aws", accounts=(MAIN, SIDE, DARK), regions=("eu-west-2",))
    programme: Any = SimpleNamespace(register=held or register(), sources=(source,), vendors=None)
    database = folder / "facts.duckdb"
    facts.build(database, folder / "inventory", facts.register_tables(programme, AS_OF), settled)
    with facts.opened(database) as db:
        found = db.execute("SELECT * FROM facts_identity")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["subject"].partition(":")[2]: row for row in rows}


def one(name: str, *, scope: str = MAIN, kind: str = "role", provider: str = "aws", **changes: Any) -> Identity:
    native = changes.pop("native_id", f"ID-{name}")
    held: dict[str, Any] = {
        "uid": f"{provider}:{scope}:{kind}/{native}", "provider": provider, "scope": scope, "kind": kind, "native_id": native, "name": name,
        "aliases": (arn(name, scope=scope, kind=kind),) if provider == "aws" else (), "track": "machine", "enabled": True,
        "created_at": AS_OF - timedelta(days=20), "observed_at": AS_OF,
    }  # fmt: skip
    return Identity(**(held | changes))


def arn(name: str, *, scope: str = MAIN, kind: str = "role") -> str:
    return f"arn:aws:iam::{scope}:{kind}/{name}"


def lets_in(identity: Identity, party: str) -> Trust:
    return Trust(
        identity_uid=identity.uid, provider="aws", scope=identity.scope, party_kind="aws-account", party=party, condition="sts:ExternalId"
    )


def may(identity: Identity, *roles: str) -> list[Grant]:
    return [
        Grant(identity_uid=identity.uid, provider=identity.provider, scope=identity.scope, role=role, power="limited") for role in roles
    ]


# --- against an oracle ---


@dataclass
class Node:
    """One identity of a random estate, as the oracle sees it."""

    number: int
    registered: str | None = None
    """A partner, or "" for the customer's own workload."""
    trusts: tuple[str, ...] = ()
    trusts_unread: bool = False
    tag: str | None = None
    name: str | None = None
    creator: int | str | None = None
    """A number of another; `acme`, `cobalt` or `stranger` for somebody of that account; `denied`, `old`, or None."""
    own: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.own = [(rank, partner) for rank, partner in ((1, self.registered), (5, self.tag), (6, self.name)) if partner is not None]
        self.own += [(2, partner) for partner in self.trusts]
        self.own.sort()

    @property
    def label(self) -> str:
        return f"{MAIN}:role/AROA{self.number:016}"

    def identity(self) -> Identity:
        unknown = {} if not self.trusts_unread else {"trusts": UNREAD}
        created_by = None
        if isinstance(self.creator, int):
            # every way to write a creator, one after the other
            ways = (
                f"aws:{MAIN}:role/AROA{self.creator:016}",
                f"arn:aws:sts::{MAIN}:assumed-role/{role_name(self.creator)}/night",
                f"AROA{self.creator:016}:night",
                arn(role_name(self.creator)),
            )
            created_by = ways[self.number % len(ways)]
        elif self.creator in ("denied", "old"):
            unknown["created_by"] = DENIED if self.creator == "denied" else OLD
        elif self.creator is not None:
            created_by = f"arn:aws:iam::{ACCOUNTS.get(self.creator, '999900001111')}:role/elsewhere"
        name = f"{self.name}-{role_name(self.number)}" if self.name else role_name(self.number)
        return one(
            name, native_id=f"AROA{self.number:016}", aliases=(arn(role_name(self.number)),), created_by=created_by, unknown=unknown,
            tags={"partner": self.tag} if self.tag else {},
        )  # fmt: skip


def role_name(number: int) -> str:
    return f"r{number}"


@dataclass(frozen=True)
class Line:
    """Where a lineage ends."""

    partner: str | None
    depth: int | None
    open: bool


def line(nodes: Sequence[Node], start: Node) -> Line:
    """Walk from creator to creator, up to the nearest that has evidence of its own."""
    above, depth, in_doubt, seen = start.creator, 1, False, set[int]()
    while isinstance(above, int) and above not in seen:
        node = nodes[above]
        if node.own:
            return Line(node.own[0][1], depth, in_doubt or (node.trusts_unread and node.own[0][0] > 1))
        seen.add(above)
        in_doubt |= node.trusts_unread
        above, depth = node.creator, depth + 1
    if above in ACCOUNTS:
        return Line(str(above), depth, in_doubt)
    return Line(None, None, in_doubt or above == "denied")


def expected(nodes: Sequence[Node], node: Node) -> dict[str, Any]:
    ends = line(nodes, node)
    is_open = node.trusts_unread or ends.open
    pieces = sorted([*node.own, *([(4, ends.partner)] if ends.partner else [])])
    best = pieces[0][1] if pieces else None
    sure = {partner for rank, partner in pieces if partner and not (rank == 4 and ends.open)}
    clash = len(sure) > 1 or (node.registered == "" and any(rank in (2, 3) for rank, _ in node.own))
    derived: bool | None = True if ends.partner else None if ends.open else False
    if node.creator == "old" and node.registered is None:
        derived = None
    return {
        "partner": best or None,
        "partner_why": best is None and is_open,
        "lineage_depth": ends.depth,
        "is_derived": derived,
        "has_evidence": True if pieces else None if is_open else False,
        "evidence_agrees": False if clash else None if is_open else True,
    }


@st.composite
def estates(draw: st.DrawFn) -> list[Node]:
    size = draw(st.integers(30, 80))
    somebody = st.sampled_from([None, None, None, None, None, None, "acme", "cobalt"])
    nodes = []
    for number in range(size):
        unread = draw(st.integers(0, 9)) == 0
        creator = draw(st.integers(0, size - 1) | st.sampled_from([None, "acme", "cobalt", "stranger", "denied", "old"]))
        nodes.append(Node(
            number, registered=draw(st.sampled_from([None] * 7 + ["acme", "cobalt", ""])), trusts_unread=unread,
            trusts=() if unread else draw(st.sampled_from([(), (), (), (), (), ("acme",), ("cobalt",), ("acme", "cobalt")])),
            tag=draw(somebody), name=draw(somebody), creator=None if creator == number else creator,
        ))  # fmt: skip
    # the session of a role is known by the role's name, and those above are named after partners
    for node in nodes:
        node.name = None if any(other.creator == node.number and other.number % 4 == 1 for other in nodes) else node.name
        node.__post_init__()
    return nodes


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(nodes=estates())
def test_lineage_ranks_and_contradictions_agree_with_a_plain_oracle(tmp_path_factory: pytest.TempPathFactory, nodes: list[Node]) -> None:
    work = [
        workload(name or "own", *(f"aws:{node.label}" for node in nodes if node.registered == name), partner=name or None)
        for name in ("acme", "cobalt", "")
    ]
    records: list[Record] = []
    for node in nodes:
        made = node.identity()
        records += [made, *(lets_in(made, ACCOUNTS[party]) for party in node.trusts)]
    rows = judged(tmp_path_factory.mktemp("line"), records, register(*work))
    want = {node.label: expected(nodes, node) for node in nodes}
    got = {
        label: {name: (rows[label][name] is not None) if name == "partner_why" else rows[label][name] for name in wanted}
        for label, wanted in want.items()
    }
    assert want == got


# --- what findings say ---


def test_the_evidence_is_told_strongest_first(tmp_path: Path) -> None:
    role = one("acme-ops", tags={"partner": "cobalt"}, created_by=arn("acme-boss"))
    rows = judged(tmp_path, [role, lets_in(role, ACCOUNTS["acme"]), one("acme-boss")])
    row = rows[f"{MAIN}:role/ID-acme-ops"]
    assert (
        "trusts aws-account 111122223333 (acme); created by acme-boss (name like acme-*) (acme); tag partner=cobalt (cobalt); name like acme-* (acme)"
        == row["partner_evidence"]
    )
    assert ("acme", "trusts aws-account 111122223333", False) == (row["partner"], row["partner_how"], row["evidence_agrees"])


def test_a_lineage_names_each_creator_and_where_it_is_long_the_last_few(tmp_path: Path) -> None:
    held = register(workload("deploy", f"aws:{MAIN}:role/g0", partner="acme"))
    chain = [one(f"g{number}", created_by=arn(f"g{number - 1}") if number else None) for number in range(9)]
    rows = judged(tmp_path, chain, held)
    assert "created by g1, which was created by g0 (workload deploy)" == rows[f"{MAIN}:role/ID-g2"]["partner_how"]
    row = rows[f"{MAIN}:role/ID-g8"]
    last = "created by g7, which was created by g6, which was created by g5, which was created by g4"
    assert f"{last}, which was created by 3 others in turn, which was created by g0 (workload deploy)" == row["lineage"]
    assert 8 == row["lineage_depth"]


def test_who_is_registered_as_the_customer_s_own_ends_a_lineage(tmp_path: Path) -> None:
    held = register(workload("own", f"aws:{MAIN}:role/ours"))
    rows = judged(tmp_path, [one("acme-x"), one("ours", created_by=arn("acme-x")), one("made", created_by=arn("ours"))], held)
    assert (True, False) == (rows[f"{MAIN}:role/ID-ours"]["is_derived"], rows[f"{MAIN}:role/ID-made"]["is_derived"])
    assert (None, None) == (rows[f"{MAIN}:role/ID-made"]["partner"], rows[f"{MAIN}:role/ID-made"]["partner_why"])


def test_a_creator_of_another_cloud_is_found_by_what_nobody_can_choose(tmp_path: Path) -> None:
    app = "6b0f0c1e-7f0e-4d0a-9a55-0f1c2d3e4b5a"
    azure: dict[str, Any] = {"provider": "azure", "scope": TENANT}
    held = register(workload("portal", f"azure:{TENANT}:service-principal/sp", partner="acme"))
    partner_of = {
        app: "acme",  # the principal acts, and not the application, which bears the same id
        f"azure:{TENANT}:service-principal/sp": "acme",
        "Ops@ACME.example": "acme",
        "ops@northwind.example": None,
        "Console": None,  # a name that somebody chose
    }
    records = [
        one("Console", kind="application", native_id="app", aliases=(app,), **azure),
        one("Console", kind="service-principal", native_id="sp", aliases=(app,), **azure),
        one("acme-x", kind="user", native_id="liar", aliases=("Console",), **azure),
        *(one("made", kind="service-principal", native_id=str(number), created_by=by, **azure) for number, by in enumerate(partner_of)),
    ]
    rows = judged(tmp_path, records, held)
    assert partner_of == {by: rows[f"{TENANT}:service-principal/{number}"]["partner"] for number, by in enumerate(partner_of)}


# --- what was not read ---


def test_a_provider_that_never_names_creators_leaves_nothing_open_and_a_refusal_does(tmp_path: Path) -> None:
    reasons = {
        "never": aws_records._NO_CREATOR["created_by"], "vault": WHO_MADE_IT, "denied": DENIED, "old": OLD,
        "many": f"more than {aws_creators.PAGES * 50} events since then; the older ones were not looked through",
    }  # fmt: skip
    rows = judged(tmp_path, [one(name, unknown={"created_by": why}) for name, why in reasons.items()])
    found = {name: rows[f"{MAIN}:role/ID-{name}"] for name in reasons}
    assert {"never": False, "vault": False, "denied": None, "old": None, "many": None} == {
        name: row["is_derived"] for name, row in found.items()
    }
    assert {"denied", "many"} == {name for name, row in found.items() if row["partner_why"] is not None}
    assert f"who created it is not known: {OLD}" == found["old"]["lineage_why"]


def test_a_creator_where_roles_were_not_read_leaves_open_whose_it_is_and_a_listing_of_keys_does_not(tmp_path: Path) -> None:
    def missing(scope: str, kind: str) -> Coverage:
        return Coverage(
            source="s", provider="aws", scope=scope, operation="iam:List", state="denied", covers=(kind,), error="AccessDenied", started=AS_OF, finished=AS_OF,
        )  # fmt: skip

    records: list[Identity] = [one("made-in-the-dark", created_by=arn("gone", scope=DARK)), one("made", created_by=arn("gone", scope=SIDE))]
    rows = judged(tmp_path, [*records, missing(DARK, "role"), missing(SIDE, "access-key")])
    dark, side = (rows[f"{MAIN}:role/ID-{each.name}"] for each in records)
    assert (None, False, None) == (dark["is_derived"], side["is_derived"], side["lineage_why"])
    assert "who created it is not known: where the creator is was not read wholly: iam:List: AccessDenied" == dark["partner_why"]


# --- copies ---


def test_a_copy_that_nobody_registered_is_found_and_the_registered_one_is_not(tmp_path: Path) -> None:
    here, there, other = one("rollout"), one("rollout", scope=SIDE), one("rollout", scope=DARK)
    records: list[Record] = [here, there, other, *may(here, "Deploy", "Read"), *may(there, "Read", "Deploy"), *may(other, "Read")]
    records += [lets_in(role, ACCOUNTS["acme"]) for role in (here, there, other)]
    rows = judged(tmp_path, records, register(workload("rollout", f"aws:{MAIN}:role/rollout", partner="acme")))
    assert [False, True, False] == [rows[f"{scope}:role/ID-rollout"]["is_stray_copy"] for scope in (MAIN, SIDE, DARK)]
    row = rows[f"{SIDE}:role/ID-rollout"]
    assert (2, f"{MAIN}, {SIDE}", "Deploy, Read") == (row["copy_count"], row["copy_scopes"], row["copy_roles"])


def test_an_application_is_the_same_in_every_tenant_whatever_it_is_called(tmp_path: Path) -> None:
    app = "6b0f0c1e-7f0e-4d0a-9a55-0f1c2d3e4b5a"
    found = [
        one(name, provider="azure", scope=tenant, kind="service-principal", aliases=(app,))
        for name, tenant in (("acme-sync", TENANT), ("Sync", NORDIC))
    ]
    rows = judged(tmp_path, [*found, *(grant for each in found for grant in may(each, "Mail.Read"))])
    assert (True, None) == (
        rows[f"{TENANT}:service-principal/ID-acme-sync"]["is_stray_copy"],
        rows[f"{NORDIC}:service-principal/ID-Sync"]["partner"],
    )


def test_a_copy_is_one_that_is_open_and_holds_the_same_and_may_be_one_where_that_is_not_known(tmp_path: Path) -> None:
    there: dict[str, tuple[bool | None, dict[str, Any]]] = {
        "acme-same": (True, {}),
        "acme-off": (False, {"enabled": False}),
        "acme-dim": (None, {"enabled": None, "unknown": {"enabled": "not told"}}),
        "acme-blind": (None, {"unknown": {"grants": "not read"}}),
        "acme-else": (False, {"kind": "role"}),
    }
    records: list[Record] = []
    for name, (_, changes) in there.items():
        here, copy = one(name, kind="user"), one(name, scope=SIDE, **({"kind": "user"} | changes))
        records += [here, copy, *may(here, "Read"), *([] if name == "acme-blind" else may(copy, "Read"))]
    rows = judged(tmp_path, records)
    assert {name: stray for name, (stray, _) in there.items()} == {name: rows[f"{MAIN}:user/ID-{name}"]["is_stray_copy"] for name in there}
    assert f"what it holds in {SIDE} is not known" == rows[f"{MAIN}:user/ID-acme-blind"]["copies_why"]


def test_a_namesake_whose_trusts_were_not_read_may_be_a_copy(tmp_path: Path) -> None:
    here, there = one("run"), one("run", scope=SIDE, unknown={"trusts": UNREAD})
    rows = judged(tmp_path, [here, lets_in(here, ACCOUNTS["acme"]), *may(here, "Read"), there, *may(there, "Read")])
    row = rows[f"{MAIN}:role/ID-run"]
    assert (None, f"whose its namesake in {SIDE} is, is not known") == (row["is_stray_copy"], row["copies_why"])
