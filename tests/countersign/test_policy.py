"""Which limits hold for whom: a pure core against plain properties, then five limits for one and the same key."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from test_facts import AS_OF, DAY, judge_facts, key, register, the, user

from countersign.reading import Scope
from countersign.register.policy import LIMIT_OF, Effective, effective, looser, register_subject
from countersign.register.records import (
    EXPIRY_REQUIRED,
    Answers,
    Contract,
    Control,
    CustomerFile,
    EnvironmentPolicies,
    Footprint,
    Overrides,
    Partner,
    PartnerFile,
    Policies,
    Policy,
    Register,
    RegisteredException,
    Workload,
)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "set-limits.md"
SPANS = ("max_idle", "max_ttl", "overlap", "review_every", "grace")
KINDS = ("aws_access_key", "gcp_key")
days = st.integers(1, 9).map(lambda count: count * 10 * DAY)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw limits where some are not set."""
    values: dict[str, Any] = {name: draw(days) for name in SPANS if draw(st.booleans())}
    for name in ("rotate_within", "max_lifetime"):
        if draw(st.booleans()):
            values[name] = draw(st.dictionaries(st.sampled_from(KINDS), days))
    if draw(st.booleans()):
        values["mfa"] = "required"
    if draw(st.booleans()):
        values["expiry_required"] = tuple(draw(st.sets(st.sampled_from([*KINDS, "vault_token"]))))
    return Policy(**values)


overrides = st.builds(Overrides, human=st.none() | policies(), machine=st.none() | policies())


def made(general: tuple[Policy, Policy], production: Overrides, acme: Overrides, backup: Overrides, **changes: Any) -> Register:
    return register(
        policies=Policies(
            human=general[0],
            machine=general[1],
            environments={"production": EnvironmentPolicies(human=production.human, machine=production.machine)},
        ),
        partners={"acme": Partner(id="acme", name="Acme", contract=Contract(reference="C-1", starts=date(2026, 1, 1)), policies=acme)},
        workloads={"backup": Workload(workload="backup", partner="acme", environment="production", policies=backup)},
        controls={"default": Control(control="default", answers=Answers(approves="maria"))},
        **changes,
    )


def limits(held: Effective) -> dict[str, timedelta]:
    """Flatten limits, so that shorter is always tighter; a demand is a limit of nothing."""
    found: dict[str, timedelta] = {}
    for track in ("human", "machine"):
        policy: Policy = getattr(held, track)
        found |= {f"{track}.{name}": span for name in SPANS if (span := getattr(policy, name)) is not None}
        for name in ("rotate_within", "max_lifetime"):
            found |= {f"{track}.{name}.{kind}": span for kind, span in getattr(policy, name).items()}
        demanded = EXPIRY_REQUIRED if policy.expiry_required is None else policy.expiry_required
        found |= dict.fromkeys((f"{track}.expiry_required.{kind}" for kind in demanded), timedelta())
        found |= {f"{track}.mfa": timedelta()} if policy.mfa else {}
    return found


def looser_than(held: dict[str, timedelta], other: dict[str, timedelta]) -> dict[str, tuple[timedelta, timedelta | None]]:
    return {name: (span, held.get(name)) for name, span in other.items() if name not in held or held[name] > span}


def of_backup(held: Register) -> Effective:
    return effective(held, AS_OF, partner="acme", environment="production", workload=held.workloads["backup"])


estates = st.tuples(st.tuples(policies(), policies()), overrides, overrides, overrides)


@settings(max_examples=150, deadline=None)
@given(estate=estates)
def test_without_an_exception_nobody_is_under_looser_limits_than_the_customers_in_that_environment(estate: Any) -> None:
    held = made(*estate)
    customers = limits(effective(held, AS_OF, partner=None, environment="production"))
    acme = limits(effective(held, AS_OF, partner="acme", environment="production"))
    assert ({}, {}) == (looser_than(acme, customers), looser_than(limits(of_backup(held)), acme))


@settings(max_examples=150, deadline=None)
@given(estate=estates, data=st.data())
def test_a_tighter_partner_or_workload_is_never_under_a_looser_limit(estate: Any, data: st.DataObject) -> None:
    general, production, *levels = estate
    which = data.draw(st.integers(0, 1))
    tighter = [Overrides(human=level.human or Policy(), machine=level.machine or Policy()) for level in levels]
    track = data.draw(st.sampled_from(["human", "machine"]))
    old: Policy = getattr(tighter[which], track)
    more = data.draw(policies())
    values: dict[str, Any] = {name: getattr(old, name) for name in old.model_fields_set} | {
        name: span if (was := getattr(old, name)) is None or name not in old.model_fields_set else min(span, was)
        for name in SPANS
        if name in more.model_fields_set and (span := getattr(more, name)) is not None
    }
    for name in ("rotate_within", "max_lifetime"):
        spans = dict(getattr(old, name))
        for kind, span in getattr(more, name).items():
            spans[kind] = min(span, spans.get(kind, span))
        values[name] = spans
    tighter[which] = tighter[which].model_copy(update={track: Policy(**values)})
    before, after = (limits(of_backup(made(general, production, *each))) for each in (levels, tighter))
    assert looser_than(after, before) == {}


@settings(max_examples=100, deadline=None)
@given(estate=estates)
def test_it_makes_no_difference_who_of_partner_and_workload_sets_a_tight_limit(estate: Any) -> None:
    general, production, acme, backup = estate
    here, there = (of_backup(made(general, production, *levels)) for levels in ((acme, backup), (backup, acme)))
    assert limits(here) == limits(there)


def exception(entry: str, **changes: Any) -> RegisteredException:
    held = register()
    values: dict[str, Any] = {
        "exception": "EX-1", "control": "rotation-age", "subject": register_subject(held, *entry.split("/")), "reason": "r", "compensating_control": "c",
        "exit_criteria": "e", "requested_by": "dev", "approved_by": "maria", "approved_on": date(2026, 11, 1), "expires": date(2026, 12, 31),
    }  # fmt: skip
    return RegisteredException(**(values | changes))


@pytest.mark.parametrize("level", ["partner/acme", "workload/backup"])
@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"expires": date(2026, 11, 22)}, True),
        ({"expires": date(2026, 11, 21)}, False),
        ({"approved_by": None, "approved_on": None}, False),
        ({"requested_by": "maria"}, False),
        ({"approved_by": "gone"}, False),
        ({"control": "inactive"}, False),
        ({"subject": "register:northwind:partner/other"}, False),
    ],
)
def test_only_an_exception_that_holds_allows_a_looser_limit(level: str, changes: dict[str, Any], allowed: bool) -> None:  # noqa: FBT001 - a table of cases
    lax = Overrides(machine=Policy(rotate_within={"aws_access_key": 200 * DAY}))
    tight = (Policy(), Policy(rotate_within={"aws_access_key": 90 * DAY}))
    levels = (lax, Overrides()) if level == "partner/acme" else (Overrides(), lax)
    held = made(tight, Overrides(), *levels, exceptions={"EX-1": exception(level, **changes)})
    assert (200 * DAY if allowed else 90 * DAY) == of_backup(held).machine.rotate_within["aws_access_key"]
    refused = [(one.entry, one.field, one.wanted, one.allowed, one.control) for one in looser(held, AS_OF)]
    said = (level.partition("/")[2], "policies.machine.rotate_within.aws_access_key", "200 days", "90 days", "rotation-age")
    assert refused == ([] if allowed else [said])


def test_every_limit_has_a_control_that_an_exception_can_be_from() -> None:
    assert set(LIMIT_OF) == set(Policy.model_fields)


def test_peoples_keys_are_under_the_machines_limits_until_the_customer_says_otherwise() -> None:
    general = Policy(), Policy(rotate_within={"aws_access_key": 90 * DAY}, overlap=7 * DAY)
    partner = Overrides(machine=Policy(rotate_within={"aws_access_key": 30 * DAY}))
    assert {"aws_access_key": 30 * DAY} == of_backup(made(general, Overrides(), partner, Overrides())).human.rotate_within
    own = Policy(rotate_within={"aws_access_key": 60 * DAY}), general[1]
    held = of_backup(made(own, Overrides(), partner, Overrides()))
    assert ({"aws_access_key": 60 * DAY}, {"aws_access_key": 30 * DAY}) == (held.human.rotate_within, held.machine.rotate_within)
    assert held.human.overlap == 7 * DAY
    assert dict(held.whose) == {"machine.rotate_within.aws_access_key": "partner acme"}


def five_limits() -> Register:
    """One key at five places: the customer's, in production, of a partner, of its strict workload, and of a lax one that an exception allows."""

    def at_most(count: int) -> Overrides:
        return Overrides(machine=Policy(rotate_within={"aws_access_key": count * DAY}))

    return register(
        policies=Policies(
            human=Policy(),
            machine=Policy(rotate_within={"aws_access_key": 90 * DAY}),
            environments={
                "production": EnvironmentPolicies(machine=at_most(60).machine, scopes=("aws:555*",)),
                "lab": EnvironmentPolicies(machine=at_most(300).machine),
            },
        ),
        partners={
            "acme": Partner(
                id="acme", name="Acme", contract=Contract(reference="C-1", starts=date(2026, 1, 1)), policies=at_most(45),
                footprint=Footprint(name_patterns=("acme-*",)),
            )
        },
        workloads={
            "strict": Workload(workload="strict", partner="acme", owner="maria", identities=("aws:*:user/strict",), policies=at_most(20)),
            "lax": Workload(workload="lax", owner="maria", identities=("aws:*:user/lax",), policies=at_most(120)),
            "bench": Workload(workload="bench", owner="maria", environment="lab", identities=("aws:*:user/bench",)),
            "somewhere": Workload(workload="somewhere", owner="maria", environment="elsewhere", identities=("aws:*:user/somewhere",)),
        },
        controls={"default": Control(control="default", answers=Answers(approves="maria"))},
        exceptions={"EX-1": exception("workload/lax")},
    )  # fmt: skip


def test_one_key_is_under_the_limit_of_its_partner_environment_and_workload_and_the_finding_says_whose(tmp_path: Path) -> None:
    found = {}
    for scope in ("444455556666", "555566667777"):
        names = ("own", "acme-bot", "strict", "lax", "bench", "somewhere")
        holders = {
            name: user(name, uid=f"aws:{scope}:user/{name}", scope=scope, native_id=name, created_at=AS_OF - 900 * DAY) for name in names
        }
        keys = [key(name, holder, uid=f"{scope}/{name}", scope=scope, created_at=AS_OF - 50 * DAY) for name, holder in holders.items()]
        rows = judge_facts(tmp_path / scope, [*holders.values(), *keys], five_limits(), Scope("aws", "aws", scope))
        for name in names:
            row = the(rows, f"{scope}/{name}")
            found[scope[:3], name] = (row["days_past_rotation"] > 0, row["rotation_limit"])
    everywhere = {"acme-bot": (True, "45 days (partner acme)"), "strict": (True, "20 days (workload strict)"), "lax": (False, "120 days (workload lax)"),
                  "bench": (False, "300 days (environment lab)")}  # fmt: skip
    assert found == {
        **{(scope, name): said for name, said in everywhere.items() for scope in ("444", "555")},
        ("444", "own"): (False, "90 days"), ("555", "own"): (False, "60 days (environment production)"),
        # an environment that the policies do not know is none: the scope's holds
        ("444", "somewhere"): (False, "90 days"), ("555", "somewhere"): (False, "60 days (environment production)"),
    }  # fmt: skip


def test_the_examples_of_the_page_are_loaded_as_they_are_written() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)]
    general, partner, workload, allowed = blocks
    policies_of = CustomerFile.model_validate(
        {"customer": {"id": "northwind", "name": "Northwind"}, "people": (), **_frozen(general)}
    ).policies
    file = PartnerFile.model_validate(
        {"partner": {"id": "acme", "name": "Acme"}, "contract": {"reference": "C-1", "starts": "2026-01-01"}} | _frozen(partner)
    )
    held = register(
        policies=policies_of,
        partners={"acme": Partner(id="acme", name="Acme", contract=file.contract, policies=file.policies)},
        workloads={"acme-backup": Workload.model_validate(_frozen(workload))},
        controls={"default": Control(control="default", answers=Answers(approves="maria"))},
    )

    def rotation(**who: Any) -> list[int]:
        return [
            effective(held, AS_OF, environment=environment, **{"partner": None, "workload": None, **who})
            .machine.rotate_within["aws_access_key"]
            .days
            for environment in (None, "production", "lab")
        ]

    acme = {"partner": "acme", "workload": held.workloads["acme-backup"]}
    assert [[90, 60, 180], [45, 45, 45], [45, 45, 45]] == [rotation(), rotation(partner="acme"), rotation(**acme)]
    assert [("acme-backup", "120 days", "45 days")] == [(one.entry, one.wanted, one.allowed) for one in looser(held, AS_OF)]
    held = held.model_copy(update={"exceptions": {"EX-0031": RegisteredException.model_validate(_frozen(allowed))}})
    assert [120, 120, 120] == rotation(**acme)
    assert [] == list(looser(held, AS_OF))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _frozen(each) for name, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
