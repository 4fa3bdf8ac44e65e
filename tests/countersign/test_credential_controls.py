"""Lifetime, lasting secrets and use after the end: each trap by a case; and tighter limits find no less, whatever the estate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_facts import AS_OF, DAY, judge_facts, key, register, user

from countersign import facts
from countersign.expectation import expectations
from countersign.identity import Credential, Identity
from countersign.inventory import collect, spool
from countersign.judge import judge
from countersign.reading import Scope
from countersign.register.records import Contract, EnvironmentPolicies, Footprint, Overrides, Partner, Policies, Policy, Register, Workload

if TYPE_CHECKING:
    from pathlib import Path

Changes = dict[str, Any]
Expected = bool | str | None
"""Whether it holds; `outside`: not asked; None: unknown."""
HOUR = timedelta(hours=1)
RECORDS = {record.id: record for record in expectations()}
POLICY = Policy(
    max_ttl=12 * HOUR, max_lifetime={"entra_secret": 365 * DAY, "vault_token": 30 * DAY}, rotate_within={"entra_secret": 180 * DAY}
)


def holder(track: str | None = "machine", **changes: Any) -> Identity:
    values: dict[str, Any] = {
        "uid": "x:here:principal/P1", "provider": "azure", "scope": "here", "kind": "service-principal", "native_id": "P1", "name": "app", "track": track,
        "enabled": True, "created_at": AS_OF - 900 * DAY, "observed_at": AS_OF,
    }  # fmt: skip
    return Identity(**(values | changes))


def credential(kind: str = "client-secret", provider: str = "azure", **changes: Any) -> Credential:
    values: dict[str, Any] = {
        "uid": f"x:here:{kind}/C1", "identity_uid": "x:here:principal/P1", "provider": provider, "scope": "here", "kind": kind, "enabled": True,
        "created_at": AS_OF - 10 * DAY, "last_used_state": "never", "observed_at": AS_OF,
    }  # fmt: skip
    return Credential(**(values | changes))


def verdict(row: dict[str, Any], control: str) -> Expected:
    """Read a row as the judge does."""
    record = RECORDS[control]
    population, fact = row[record.population], row[record.holds.column]
    if population is False:
        return "outside"
    if population is None or fact is None:
        return None
    arguments: dict[str, Any] = dict(record.holds.arguments)
    if "value_set" in arguments:
        return fact in arguments["value_set"]
    return bool(arguments.get("min_value", fact) <= fact <= arguments.get("max_value", fact))


def reason(row: dict[str, Any], control: str) -> str:
    return next((str(row[name]) for name in RECORDS[control].unknown_from if row[name] is not None), "not known")


def told(row: dict[str, Any], control: str) -> str:
    return "".join(str(row[text]) if is_fact else text for text, is_fact in RECORDS[control].reason_parts())


ENDS = {"expires_at": AS_OF + 10 * DAY}
DIM_END = {"unknown": {"expires_at": "its end was not told"}}
DIM_TTL = {"unknown": {"ttl_s": "its ttl was not told", "expires_at": "its ttl was not told"}}

LIFETIMES: list[tuple[str, Changes, Expected, str]] = [
    ("client-secret", {"expires_at": AS_OF + 355 * DAY}, True, "lives 365 days; limit 365 days"),
    ("client-secret", {"expires_at": AS_OF + 355 * DAY + timedelta(microseconds=1)}, False, "lives 365 days; limit 365 days"),
    ("client-secret", {"never_expires": True}, False, "never expires; limit 365 days"),
    ("client-secret", {}, False, "never expires; limit 365 days"),
    ("client-secret", DIM_END, None, "its end was not told"),
    ("client-secret", {**ENDS, "created_at": None, "unknown": {"created_at": "its start was not told"}}, None, "its start was not told"),
    ("client-secret", {"enabled": False, "never_expires": True}, "outside", ""),
    ("client-secret", {"expires_at": AS_OF - DAY, "created_at": AS_OF - 800 * DAY}, "outside", ""),
    ("certificate", {"never_expires": True}, "outside", ""),
    ("token", {**ENDS, "ttl_s": 12 * 3600}, True, ""),
    ("token", {**ENDS, "ttl_s": 12 * 3600 + 1}, False, "lives 12.0 hours; limit 12 hours"),
    ("token", {"expires_at": AS_OF + 25 * DAY, "ttl_s": 3600}, False, "lives 35 days; limit 30 days"),
    ("token", {"expires_at": AS_OF + HOUR, "created_at": AS_OF - 10 * HOUR}, True, ""),
    ("token", {"expires_at": AS_OF + HOUR, "created_at": AS_OF - 12 * HOUR}, False, "lives 13.0 hours; limit 12 hours"),
    ("token", {"never_expires": True}, False, "never expires; limit 30 days"),
    ("token", DIM_TTL, None, "its ttl was not told"),
    ("lease", {"never_expires": True}, False, "never expires; limit 12 hours"),
]

LASTING: list[tuple[str, str, str | None, Changes, Expected]] = [
    ("access-key", "aws", "machine", {}, False),
    ("access-key", "aws", "human", {}, False),
    ("access-key", "aws", None, {}, None),
    ("access-key", "aws", "machine", {"enabled": False}, "outside"),
    ("client-secret", "azure", "machine", ENDS, False),
    ("client-secret", "azure", "machine", {"created_at": AS_OF - HOUR, "expires_at": AS_OF + 11 * HOUR}, True),
    ("client-secret", "azure", "machine", DIM_END, None),
    ("service-account-key", "gcp", "machine", {"never_expires": True}, False),
    ("secret-id", "vault", "machine", {"created_at": AS_OF, "expires_at": AS_OF + 6 * HOUR, "ttl_s": 6 * 3600}, True),
    ("token", "vault", "machine", {**ENDS, "ttl_s": 6 * 3600}, True),
    ("token", "vault", "machine", {**ENDS, "ttl_s": 13 * 3600}, False),
    ("token", "vault", "human", {**ENDS, "ttl_s": 13 * 3600}, False),
    ("federated-credential", "azure", None, {"created_at": None}, True),
    ("password", "aws", "human", {}, "outside"),
    ("api-key", "gcp", "machine", {}, "outside"),
    ("secret", "vault", "machine", {}, "outside"),
]

TTLS = [(HOUR / 2, HOUR, False), (HOUR / 2, HOUR / 2, True), (7 * DAY, 13 * HOUR, False), (7 * DAY, 12 * HOUR, True)]
"""Longest life of a token by the policy, that of one token, and whether it counts as short-lived."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case, one estate: each credential has an identity of its own."""
    records: list[Any] = []

    def put(label: str, track: str | None, kind: str, provider: str, changes: Changes) -> None:
        made = holder(track, uid=f"x:here:principal/{label}", name=label)
        records.extend((made, credential(kind, provider, uid=f"x:here:{kind}/{label}", identity_uid=made.uid, **changes)))

    for number, (kind, changes, *_) in enumerate(LIFETIMES):
        put(f"life{number}", "machine", kind, "vault" if kind in ("token", "lease") else "azure", changes)
    for number, (kind, provider, track, changes, _) in enumerate(LASTING):
        put(f"last{number}", track, kind, provider, changes)
    for number, (_, ttl, _) in enumerate(TTLS):
        put(f"of{number}-token", "machine", "token", "vault", {**ENDS, "ttl_s": int(ttl.total_seconds())})
    workloads = {
        f"of{number}": Workload(
            workload=f"of{number}", owner="maria", environment=f"e{number}", identities=(f"azure:*:user/of{number}-token",)
        )
        for number in range(len(TTLS))
    }
    environments = {f"e{number}": EnvironmentPolicies(machine=Policy(max_ttl=ttl)) for number, (ttl, *_) in enumerate(TTLS)}
    # a service principal's name proves nothing
    records = [replace(one, kind="user") if isinstance(one, Identity) and one.name.startswith("of") else one for one in records]
    held = register(policies=Policies(human=Policy(max_ttl=12 * HOUR), machine=POLICY, environments=environments), workloads=workloads)
    found = judge_facts(tmp_path_factory.mktemp("cases"), records, held, Scope("x", "azure", "here"))
    return {row["subject"].partition("/")[2]: row for row in found if row["subject_kind"] == "credential"}


@pytest.mark.parametrize("number", range(len(LIFETIMES)))
def test_a_lifetime_is_measured_from_the_making_to_the_end(rows: dict[str, dict[str, Any]], number: int) -> None:
    _, _, expected, said = LIFETIMES[number]
    row = rows[f"life{number}"]
    assert expected == verdict(row, "lifetime-too-long")
    assert said in ("", (reason if expected is None else told)(row, "lifetime-too-long"))


@pytest.mark.parametrize("number", range(len(LASTING)))
def test_what_could_be_federated_is_not_kept_as_a_lasting_secret(rows: dict[str, dict[str, Any]], number: int) -> None:
    *_, expected = LASTING[number]
    row = rows[f"last{number}"]
    assert expected == verdict(row, "static-where-federation")
    assert row["instead"] or expected is not False


def test_lasting_secrets_are_judged_where_policy_wants_short_lived_ones(tmp_path: Path) -> None:
    said = {}
    for ttl in (None, 12 * HOUR):
        held = register(policies=Policies(human=Policy(), machine=Policy(max_ttl=ttl)))
        (row,) = [one for one in judge_facts(tmp_path / str(ttl), [user(), key()], held) if one["subject_kind"] == "credential"]
        said[ttl] = verdict(row, "static-where-federation")
    assert {None: "outside", 12 * HOUR: False} == said


@pytest.mark.parametrize("number", range(len(TTLS)))
def test_short_lived_is_half_a_day_or_what_the_policy_lets_a_token_live_if_that_is_shorter(
    rows: dict[str, dict[str, Any]], number: int
) -> None:
    assert TTLS[number][2] == verdict(rows[f"of{number}-token"], "static-where-federation")


# --- used after the end ---

OVER = date(2026, 11, 10)
ENDED_AT = datetime(2026, 11, 11, tzinfo=UTC)
"""The end of the day in London, where the customer's days are."""

USES: list[tuple[date | None, date | None, Changes, Expected, str]] = [
    (OVER, None, {"last_used_at": ENDED_AT + HOUR}, False, "last used 2026-11-11, and its access ended 2026-11-10 (contract of p0)"),
    (OVER, None, {"last_used_at": ENDED_AT}, True, ""),
    (OVER, date(2026, 11, 1), {"last_used_at": ENDED_AT}, False, "last used 2026-11-11, and its access ended 2026-11-01 (workload w2)"),
    (
        date(2027, 1, 1),
        OVER,
        {"last_used_at": AS_OF, "enabled": False},
        False,
        "last used 2026-11-22, and its access ended 2026-11-10 (workload w3)",
    ),
    (OVER, None, {"last_used_at": None, "last_used_state": "never"}, True, ""),
    (OVER, None, {"last_used_at": None, "last_used_state": "unknown", "unknown": {"last_used_at": "not told"}}, None, "not told"),
    (
        OVER,
        None,
        {"last_used_at": ENDED_AT - DAY, "use_seen_to": ENDED_AT - HOUR},
        None,
        "whether it was used in the days since the report is not known",
    ),
    (OVER, None, {"last_used_at": ENDED_AT - DAY, "use_seen_to": AS_OF - 4 * HOUR}, True, ""),
    (date(2027, 1, 1), None, {"last_used_at": AS_OF}, "outside", ""),
    (None, None, {"last_used_at": AS_OF}, "outside", ""),
    # all that is known of a secret's use is the day, and the last one ended at midnight
    (OVER, None, {"kind": "secret", "last_used_at": datetime(2026, 11, 10, 23, 59, 59, tzinfo=UTC)}, True, ""),
    (OVER, None, {"kind": "secret", "last_used_at": datetime(2026, 11, 11, 23, 59, 59, tzinfo=UTC)}, True, ""),
    (OVER, None, {"kind": "secret", "last_used_at": datetime(2026, 11, 12, 23, 59, 59, tzinfo=UTC)}, False, ""),
]


@pytest.fixture(scope="module")
def uses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every case with a partner and a workload of its own, and a role that nobody knows whom it trusts."""
    records: list[Any] = []
    partners, workloads = {}, {}
    for number, (ends, expires, changes, *_) in enumerate(USES):
        contract = Contract(reference="C-1", starts=date(2025, 1, 1), ends=ends)
        partners[f"p{number}"] = Partner(id=f"p{number}", name="P", contract=contract, footprint=Footprint(name_patterns=(f"p{number}-*",)))
        if expires:
            pattern = (f"aws:*:user/p{number}-user",)
            workloads[f"w{number}"] = Workload(
                workload=f"w{number}", partner=f"p{number}", owner="maria", expires=expires, identities=pattern
            )
        made = user(f"p{number}-user")
        records += [made, key(f"K{number}", made, **({"last_used_state": "known", "created_at": AS_OF - 90 * DAY} | changes))]
    hidden = user("deploy", unknown={"trusts": "its trust policy was not read"})
    records += [hidden, key("HIDDEN", hidden, last_used_state="known", last_used_at=AS_OF)]
    found = judge_facts(tmp_path_factory.mktemp("uses"), records, register(partners=partners, workloads=workloads))
    return {row["subject"].rpartition("/")[2]: row for row in found if row["subject_kind"] == "credential"}


@pytest.mark.parametrize("number", range(len(USES)))
def test_a_use_after_the_earliest_end_is_found_enabled_or_not(uses: dict[str, dict[str, Any]], number: int) -> None:
    *_, expected, said = USES[number]
    row = uses[f"K{number}"]
    assert expected == verdict(row, "used-after-end")
    assert said in ("", (reason if expected is None else told)(row, "used-after-end"))


def test_where_a_partner_may_be_hidden_its_contract_may_be_too(uses: dict[str, dict[str, Any]]) -> None:
    row = uses["HIDDEN"]
    assert (None, "its trust policy was not read") == (verdict(row, "used-after-end"), reason(row, "used-after-end"))


# --- tighter finds no less ---

CONTROLS = [record.id for record in expectations() if "credential" in record.subjects]
spans = st.integers(1, 40).map(lambda count: count * 10 * DAY)
instants = st.integers(-400, 400).map(lambda count: AS_OF - count * DAY - HOUR)
KINDS = {
    ("aws", "access-key"): "aws_access_key", ("azure", "client-secret"): "entra_secret", ("vault", "token"): "vault_token",
    ("vault", "secret-id"): "vault_secret_id", ("aws", "password"): "password",
}  # fmt: skip


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    kinds = st.dictionaries(st.sampled_from(sorted(KINDS.values())), spans, max_size=3)
    return Policy(
        max_idle=draw(st.none() | spans), overlap=draw(st.none() | spans), max_ttl=draw(st.none() | st.integers(1, 30).map(lambda hours: hours * HOUR)),
        rotate_within=draw(kinds), max_lifetime=draw(kinds), grace=draw(st.sampled_from([HOUR / 4, 2 * DAY])),
    )  # fmt: skip


def tightened(draw: Any, policy: Policy) -> Policy:
    """Draw the same limits where some are shorter, or are there at all."""

    def shorter(span: timedelta | None) -> timedelta | None:
        return draw(st.none() | spans) if span is None else span * draw(st.sampled_from([1.0, 0.5, 0.0]))

    values: dict[str, Any] = {name: shorter(getattr(policy, name)) for name in ("max_idle", "overlap", "max_ttl", "grace")}
    values |= {name: {kind: shorter(span) for kind, span in getattr(policy, name).items()} for name in ("rotate_within", "max_lifetime")}
    if draw(st.booleans()):
        values["expiry_required"] = (
            "vault_secret_id",
            "vault_token",
            "entra_secret",
            "entra_certificate",
            "gcp_key",
            "aws_access_key",
            "password",
        )
    return policy.model_copy(update=values)


@st.composite
def estates(draw: st.DrawFn) -> list[Any]:
    records: list[Any] = []
    for number in range(draw(st.integers(1, 5))):
        made = holder(
            draw(st.sampled_from(["machine", "human", None])), uid=f"x:here:principal/P{number}", name=draw(st.sampled_from(["acme-app", "app"])),
            created_at=draw(st.none() | instants),
        )  # fmt: skip
        records.append(made)
        for slot in range(draw(st.integers(0, 3))):
            provider, kind = draw(st.sampled_from(sorted(KINDS)))
            state = draw(st.sampled_from(["known", "never", "unknown"]))
            records.append(credential(
                kind, provider, uid=f"x:here:{kind}/C{number}{slot}", identity_uid=made.uid, enabled=draw(st.sampled_from([True, True, False, None])),
                created_at=draw(st.none() | instants), expires_at=draw(st.none() | instants), last_used_state=state,
                last_used_at=draw(instants) if state == "known" else None, ttl_s=draw(st.sampled_from([None, 3600, 90_000])) if kind == "token" else None,
                unknown=draw(st.sampled_from([{}, {}, {"expires_at": "not told"}])),
            ))  # fmt: skip
    return records


def failing(folder: Path, records: list[Any], held: Register) -> set[tuple[str, str]]:
    rows = [row for row in judge_facts(folder, records, held, Scope("x", "azure", "here")) if row["subject_kind"] == "credential"]
    return {(control, row["subject"]) for control in CONTROLS for row in rows if verdict(row, control) is False}


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(records=estates(), human=policies(), machine=policies(), acme=policies(), data=st.data())
def test_a_tighter_limit_of_customer_or_partner_removes_no_finding(  # noqa: PLR0913, PLR0917 - what hypothesis draws
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], human: Policy, machine: Policy, acme: Policy, data: st.DataObject
) -> None:
    def held(human: Policy, machine: Policy, acme: Policy) -> Register:
        partner = Partner(
            id="acme", name="Acme", contract=Contract(reference="C-1", starts=date(2025, 1, 1)), footprint=Footprint(name_patterns=("acme-*",)),
            policies=Overrides(machine=acme),
        )  # fmt: skip
        return register(policies=Policies(human=human, machine=machine), partners={"acme": partner})

    folder = tmp_path_factory.mktemp("tighter")
    loose = failing(folder / "loose", records, held(human, machine, acme))
    tight = failing(folder / "tight", records, held(*(tightened(data.draw, policy) for policy in (human, machine, acme))))
    assert loose - tight == set()


def test_the_judge_agrees_and_names_the_limit_and_whose_it_is(tmp_path: Path) -> None:
    held = register(
        partners={
            "acme": Partner(
                id="acme", name="Acme", contract=Contract(reference="C-1", starts=date(2025, 1, 1), ends=OVER), footprint=Footprint(name_patterns=("acme-*",)),
                policies=Overrides(machine=Policy(rotate_within={"aws_access_key": 30 * DAY}, max_lifetime={"aws_access_key": 60 * DAY}, max_idle=5 * DAY, max_ttl=12 * HOUR)),
            )
        }
    )  # fmt: skip
    scope = Scope("aws", "aws", "444455556666")
    rows = [user(), key(created_at=AS_OF - 40 * DAY, last_used_at=AS_OF - 6 * DAY, last_used_state="known")]
    readings = collect([spool(rows, scope, tmp_path / "work", tmp_path / "seen")], tmp_path / "work", tmp_path / "inventory")
    programme: Any = SimpleNamespace(register=held, sources=(), vendors=None)
    facts.build(tmp_path / "f.duckdb", tmp_path / "inventory", facts.register_tables(programme, AS_OF), readings)
    judge(tmp_path / "f.duckdb", expectations(), readings)
    with facts.opened(tmp_path / "f.duckdb") as db:
        said = dict(
            db.execute("SELECT control, reason FROM failures WHERE subject LIKE '%AKIA1' AND subject_kind = 'credential'").fetchall()
        )
    assert said == {
        "rotation-age": "created 2026-10-13, 40 days ago; limit 30 days (partner acme)",
        "lifetime-too-long": "never expires; limit 60 days (partner acme)",
        "inactive": "last used 2026-11-16, 6 days ago; limit 5 days (partner acme)",
        "static-where-federation": "never expires, and could be a role (of the instance, task or function; OIDC or IAM Roles Anywhere from outside)",
        "used-after-end": "last used 2026-11-16, and its access ended 2026-11-10 (contract of acme)",
    }
