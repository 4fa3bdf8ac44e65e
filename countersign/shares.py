"""What verdicts come to in shares and in groups: every share of the known with the share of the unknown beside it; all pure.

A control is a mapping here, as `results.controls` gives it and `results.json` keeps it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAMILIES: dict[str, tuple[str, ...]] = {
    "ownership": ("named-owner", "owner-live", "workload-registered", "purpose-declared", "expiry-declared", "attribution-conflict"),
    "rotation": (
        "rotation-age", "rotation-repeatable", "credential-expiry", "lifetime-too-long", "expired-but-enabled", "overlap-too-long",
        "static-where-federation",
    ),
    "activity": ("inactive", "used-after-end"),
    "privilege": ("over-privileged", "sole-administrator", "unconditioned-trust", "unknown-third-party", "replicated-access"),
    "track": ("human-unattended", "human-mfa", "machine-console", "derived-identity"),
    "life cycle": ("contract-ended", "workload-expired", "incident-open", "review-overdue"),
    "governance": ("register-*", "exception-invalid"),
    "service levels": ("sla-*", "drill-overdue", "approval-owed"),
    "coverage": ("source-unobserved",),
    "own house": ("own-identities",),
}  # fmt: skip
"""Family to its controls, the one place that says so; a name may end in `*`. The summary and the report group by it."""
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why verdicts are unknown, over all controls."""

    reason: str
    unit: str
    """`subject`, or `scope` where a whole scope hides any number of them."""
    controls: tuple[tuple[str, int], ...]
    """(control, how many of its verdicts), the most first."""
    places: tuple[str, ...]
    """The scopes, as `aws 444455556666`."""

    @property
    def count(self) -> int:
        """How many verdicts it leaves unknown, a whole scope being one for each control."""
        return sum(count for _, count in self.controls)

    def in_words(self) -> str:
        """Say how much it leaves unknown: `12 verdicts of 3 controls`; of a whole scope nobody knows how many."""
        many = "1 control" if len(self.controls) == 1 else f"{len(self.controls):,} controls"
        if self.unit == "scope":
            return f"any number of subjects of {many}"
        return f"{self.count:,} {'verdict' if self.count == 1 else 'verdicts'} of {many}"


def shares(population: int, passed: int, unknown: int) -> dict[str, float | None]:
    """Return `passed_share`, of those whose verdict is known, and `unknown_share`, of all; None where there is nothing to have a share of.

    The two go together: of a population that is half unknown, a passed share of 1 says half of what it seems to.
    """
    known = population - unknown
    return {"passed_share": passed / known if known else None, "unknown_share": unknown / population if population else None}


def percent(part: int, whole: int) -> str:
    """Say a part in percent; never `0%` of something or `100%` of not everything. An empty whole has no shares: `not assessed`."""
    if whole == 0:
        return "not assessed"
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    tenths = round(part * 1000 / whole)
    if tenths == 0:
        return "<0.1%"
    return ">99.9%" if tenths == 1000 else f"{tenths / 10:g}%"  # noqa: PLR2004 - a whole in tenths of a percent


def in_words(control: Mapping[str, Any]) -> str:
    """Say what a control came to, always with what is unknown: `92% of 50 known pass; 18% unknown`.

    Where a whole scope was not read, nobody knows how many it hides: its one unknown stands for at least one.
    """
    population, unknown = control["population"], control["unknown"]
    if population == 0:
        return "nothing is in its population"
    known = population - unknown
    passed = f"{percent(control['passed'], known)} of {known:,} known pass" if known else "nothing is known"
    least = "at least " if unknown < population and _hides_scopes(control) else ""
    return f"{passed}; {least}{percent(unknown, population)} unknown"


def unknown_in_words(controls: Sequence[Mapping[str, Any]]) -> str | None:
    """Say how much of all verdicts is unknown: `at least 12% of 319 verdicts`; None where nothing is."""
    unknown, population = (sum(control[name] for control in controls) for name in ("unknown", "population"))
    least = "at least " if unknown < population and any(map(_hides_scopes, controls)) else ""
    return f"{least}{percent(unknown, population)} of {population:,} verdicts" if unknown else None


def _hides_scopes(control: Mapping[str, Any]) -> bool:
    return any(why["unit"] == "scope" for why in control["unknown_reasons"])


def unknowns(controls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """List why what is unknown is unknown, a row for each control, reason and scope, the most first.

    `provider` and `scope` are None for what lies in more scopes than a run names; `unit` `scope` stands for any number of subjects.
    """
    rows: list[dict[str, Any]] = []
    for control in controls:
        for why in control["unknown_reasons"]:
            places = why.get("places", ())
            rest = why["count"] - sum(place["count"] for place in places)
            shown = [*places, *([{"provider": None, "scope": None, "count": rest}] if rest else [])]
            rows += [{"control": control["id"], "reason": why["reason"], "unit": why["unit"], **place} for place in shown]
    # A scope hides any number, so it comes before any number.
    return sorted(rows, key=lambda row: (row["unit"] != "scope", -row["count"], row["control"], row["reason"], row["scope"] or ""))


def together(rows: Sequence[Mapping[str, Any]]) -> list[Reason]:
    """Put the rows of `unknowns` together by reason, the one behind most verdicts first; one that hides whole scopes before those."""
    found: dict[tuple[str, str], tuple[Counter[str], Counter[str]]] = {}
    for row in rows:
        controls, places = found.setdefault((row["reason"], row["unit"]), (Counter(), Counter()))
        controls[row["control"]] += row["count"]
        places["other scopes" if row["scope"] is None else f"{row['provider']} {row['scope']}"] += row["count"]
    reasons = [Reason(reason, unit, tuple(controls.most_common()), tuple(places)) for (reason, unit), (controls, places) in found.items()]
    return sorted(reasons, key=lambda each: (each.unit != "scope", -each.count, each.reason))


def family(control: str) -> str:
    """Return the family of a control id; `other` for one that FAMILIES does not name."""
    return next((name for name, ids in FAMILIES.items() if any(fnmatchcase(control, each) for each in ids)), OTHER)


def by_family(controls: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Group controls, each as `controls` gives it, by family in the order of FAMILIES; their own order is kept, and no family is empty."""
    names = (*FAMILIES, OTHER)
    grouped = [(name, [control for control in controls if family(control["id"]) == name]) for name in names]
    return [(name, members) for name, members in grouped if members]


def says_something(control: Mapping[str, Any]) -> bool:
    """Whether a control has to be looked at: anything fails, is excepted or is unknown."""
    return bool(control["failed"] or control["excepted"] or control["unknown"])
