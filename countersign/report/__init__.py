"""`report.html` of a run: one file that needs nothing else, made of Great Expectations' suite and results and the run's findings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from countersign import shares
from countersign.clock import stamp
from countersign.expectation import Severity
from countersign.report import words
from countersign.report.findings import PER_CONTROL, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from countersign.expectation import Expectation

SCOPES = 200
"""Scopes that the page lists; those that were not read come first."""
REASONS = 50
"""Reasons for unknown verdicts that the page lists per control."""
MOST_FREQUENT = 8
"""Reasons for unknown verdicts that the page lists over all controls."""
FEW = 4
"""Scopes and controls that one of these reasons names."""
_VERDICTS = ("fail", "unknown", "pass", "not assessed")
_SCOPE_STATES = ("denied", "failed", "partial", "complete")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page of one run is made from."""

    customer: str
    """The customer's name."""
    run: str
    as_of: datetime
    """The moment that ages and deadlines are counted to."""
    state: str
    """`complete`, `partial` or `failed`."""
    stopped: str | None
    """The run guard's reason to change nothing; None: it let the run pass."""
    people: Mapping[str, str]
    """Id to name."""
    partners: Mapping[str, str]
    """Id to name."""
    approvers: Mapping[str, str]
    """Id of an exception to the id of the person who approved it."""
    sources: Sequence[Mapping[str, Any]]
    """As `results.sources` gives them."""
    controls: Sequence[Mapping[str, Any]]
    """As `results.controls` gives them."""
    records: tuple[Expectation, ...]
    suite: Mapping[str, Any]
    """Great Expectations' suite, as it writes it."""
    validation: Mapping[str, Any]
    """Great Expectations' validation result, as it writes it."""
    events: Mapping[str, int]
    """What the run does to findings, by kind of transition."""
    actions: Mapping[str, int]
    """What the run means to do to tickets, by kind of action."""
    findings: Path
    """The run's findings.parquet."""


def write(path: Path, page: Page) -> None:
    """Write the page to `path`; its size is bounded by the number of controls, not of findings."""
    scopes = [scope | {"source": source["name"]} for source in page.sources for scope in source["scopes"]]
    scopes.sort(key=lambda scope: _SCOPE_STATES.index(scope["state"]))
    found = shown(page.findings, page.as_of)
    controls = _controls(page)
    judged = {control["id"] for control in controls}
    reasons = shares.together(shares.unknowns(controls))
    template("report.html.j2").stream(
        page=page,
        as_of=page.as_of.astimezone(UTC),
        state_words=words.run_state(page.state, scopes),
        scopes=scopes[:SCOPES],
        more_scopes=max(0, len(scopes) - SCOPES),
        # A partial scope's numbers are at least these; one that was passed over is counted where it was read live.
        read=[scope for scope in scopes if scope["state"] == "partial" or (scope["state"] == "complete" and not scope["reason"])],
        controls=controls,
        families=shares.by_family([control for control in controls if shares.says_something(control)]),
        passed=[control for control in controls if control["population"] and not shares.says_something(control)],
        nobody=[control for control in controls if not control["population"]],
        unknown=shares.unknown_in_words(controls),
        reasons=reasons[:MOST_FREQUENT],
        more_reasons=max(0, len(reasons) - MOST_FREQUENT),
        few=FEW,
        verdicts={verdict: sum(control["verdict"] == verdict for control in controls) for verdict in _VERDICTS},
        found=found,
        plans=[words.plan(kind, page.actions[kind]) for kind in words.PLANS if page.actions.get(kind)],
        severities=[severity.value for severity in Severity],
        titles={control["id"]: control["title"] for control in controls},
        left_over=sorted(set(found.rows) - judged),
        reasons_shown=REASONS,
        findings_shown=PER_CONTROL,
    ).dump(str(path), encoding="utf-8")


def _controls(page: Page) -> list[dict[str, Any]]:
    """Put each control's counts, record and Great Expectations' own words together, the worst first."""
    records = {record.id: record for record in page.records}
    suite = {each["meta"]["control"]: each for each in page.suite.get("expectations", ())}
    results = {each["expectation_config"]["meta"]["control"]: each for each in page.validation.get("results", ())}
    severities = [severity.value for severity in Severity]
    controls = [
        dict(control) | {
            "record": records.get(control["id"]), "expectation": suite.get(control["id"]), "result": results.get(control["id"]),
            "counted": _counted(control, results.get(control["id"])),
            "scope_unknown": any(why["unit"] == "scope" for why in control["unknown_reasons"]),
        }
        for control in page.controls
    ]  # fmt: skip
    return sorted(controls, key=lambda c: (_VERDICTS.index(c["verdict"]), severities.index(c["severity"]), -c["failed"], c["id"]))


def _counted(control: Mapping[str, Any], result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Set Great Expectations' counts beside ours; it knows no exceptions, and nulls are what it did not judge."""
    if result is None:
        return None
    told = result["result"]
    theirs = {"judged": told["element_count"] - told["missing_count"], "breaking": told["unexpected_count"]}
    ours = {"judged": control["passed"] + control["failed"] + control["excepted"], "breaking": control["failed"] + control["excepted"]}
    return {"rows": told["element_count"], "nulls": told["missing_count"], "theirs": theirs, "ours": ours, "agree": theirs == ours}


@cache
def template(file: str) -> Any:  # noqa: ANN401 - Jinja's Template.stream takes anything by name
    """Return a template of this folder; every value it prints is escaped and made visible (`words.visible`)."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=words.visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({"day": words.day, "minute": words.minute, "stamp": stamp, "json_block": words.json_block})
    environment.globals.update(
        plural=words.plural,
        in_words=shares.in_words,
        bar=words.bar,
        name=words.name,
        place=words.place,
        check=words.check,
        frameworks=words.frameworks,
    )
    return environment.get_template(file)
