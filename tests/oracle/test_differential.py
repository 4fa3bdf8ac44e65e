"""Three tools and Countersign on the same credential report: every difference has one cause, and the page explains each cause."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle_classes import CLASSES, Case, differences
from oracle_ours import CONTROLS, Judged, judged
from oracle_report import DAY, TRAPS, Row, rows
from oracle_rules import RULES, Rule

if TYPE_CHECKING:
    from datetime import timedelta

PAGE = (Path(__file__).parents[2] / "docs" / "differential.md").read_text(encoding="utf-8")
LIMITS = (45 * DAY, 90 * DAY)
"""How long something may be idle: Prowler's and the one that we give Cloud Custodian, and AirIAM's."""
Difference = tuple[Case, list[str]]


def rules_of(idle: timedelta) -> tuple[Rule, ...]:
    """Give the rules to compare under a limit of idle time; those about something else once, under the last."""
    return tuple(rule for rule in RULES if (rule.limit == idle if rule.control == "inactive" else idle == LIMITS[-1]))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[timedelta, Judged]:
    return {idle: judged(tmp_path_factory.mktemp("traps"), TRAPS.values(), idle, counted=idle == LIMITS[0]) for idle in LIMITS}


@pytest.fixture(scope="module")
def found(ours: dict[timedelta, Judged]) -> list[Difference]:
    return [one for idle in LIMITS for one in differences(TRAPS.values(), rules_of(idle), ours[idle])]


def table(heading: str) -> list[list[str]]:
    """Read the rows of the page's table under a heading, without the header; code marks are left out."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def unclear(differing: list[Difference]) -> list[object]:
    return [(case.rule.name, case.cells, case.pair, classes) for case, classes in differing if len(classes) != 1]


def test_every_rule_is_compared_once() -> None:
    compared = [rule.name for idle in LIMITS for rule in rules_of(idle)]
    assert sorted(rule.name for rule in RULES) == sorted(compared)


def test_every_difference_on_the_traps_has_one_cause(found: list[Difference]) -> None:
    assert unclear(found) == []


def test_the_page_explains_the_causes_that_occur_and_no_others(found: list[Difference]) -> None:
    names = {id(cells): name for name, cells in TRAPS.items()}
    tools, shown, said = defaultdict(set), defaultdict(set), defaultdict(set)
    for case, (name,) in found:
        tools[name].add(case.rule.tool)
        shown[name].add(names[id(case.cells)])
        said[name].add(case.pair)
    told = table("The differences")
    assert sorted(CLASSES) == sorted(tools), "a class that no trap shows"
    assert sorted(CLASSES) == sorted(name for name, *_ in told)
    assert {name: ", ".join(sorted(tools[name])) for name, *_ in told} == {name: whose for name, whose, *_ in told}
    assert {(name, row) for name, *_, row in told if row not in shown[name]} == set(), "the row shows something else"
    for name, _, theirs, we_say, *_ in told:
        assert [pair for pair in said[name] if pair[0] not in theirs.replace("any", "fail pass silent") or pair[1] not in we_say] == [], (
            name
        )


def test_the_page_lists_the_rules_that_are_compared() -> None:
    assert [(rule.tool, rule.name, rule.control or "none") for rule in RULES] == [
        (tool, name, ours) for tool, name, ours, *_ in table("The rules")
    ]


def test_the_verdicts_compared_are_those_that_the_judge_counts(ours: dict[timedelta, Judged]) -> None:
    judgement = ours[LIMITS[0]]
    tally = Counter((control, verdict) for (control, _), verdict in judgement.verdicts.items())
    assert {control: tuple(tally[control, verdict] for verdict in ("pass", "fail", "unknown")) for control in CONTROLS} == judgement.counted


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn=rows(), idle=st.sampled_from(LIMITS))
def test_every_difference_on_any_report_has_one_cause(tmp_path_factory: pytest.TempPathFactory, drawn: list[Row], idle: timedelta) -> None:
    judgement = judged(tmp_path_factory.mktemp("any"), drawn, idle)
    assert unclear(list(differences(drawn, rules_of(idle), judgement))) == []
