"""How the report says things: text from outside made harmless, shares, times, states and checks in plain words; all pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

LONGEST = 2_000
"""Characters of one text that the page shows: a name may be as long as a provider lets it be."""
LONGEST_NAME = 200
"""Characters of a subject's name: it stands in a narrow column."""
THINNEST = 1.5
"""Width in percent of a bar's smallest part, so that one failure among a million can still be seen."""
PARTS = ("passed", "failed", "excepted", "unknown")
PLANS = {
    "create": "open {}", "update": "update {}", "reopen": "reopen {}", "close": "close {}", "unchanged": "leave {} unchanged",
    "rolled-up": "roll {} up",
}  # fmt: skip
"""What is meant for tickets, by kind of action, in the order in which it is told."""
_FRAMEWORKS = {
    "csf-2.0": "NIST CSF 2.0",
    "owasp-nhi": "OWASP NHI Top 10",
    "soc2": "SOC 2",
    "iso-27001": "ISO/IEC 27001",
    "pci-dss-4.0.1": "PCI DSS 4.0.1",
    "dora": "DORA",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured part of a bar; `x` and `width` in percent of the bar."""

    kind: str
    x: float
    width: float


def visible(value: object) -> object:
    """Show what would act instead of being read: control, direction and invisible characters as ⟨U+202E⟩; very long text is cut.

    Every value that the template prints goes through here (Jinja's `finalize`); markup that Jinja escaped already does not.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return "not given" if value is None else value
    text = cut(value, LONGEST)
    return text if text.isprintable() else "".join(c if c.isprintable() else f"⟨U+{ord(c):04X}⟩" for c in text)


def cut(text: str, longest: int) -> str:
    """Leave the end of a long text out, and say how much that is."""
    return text if len(text) <= longest else f"{text[:longest]} … ({plural(len(text) - longest, 'more character')})"


def name(finding: Mapping[str, Any]) -> str:
    """Name the subject of a finding as people do: by its identity's name where there is one."""
    return cut(finding["subject"] if finding["identity_name"] is None else finding["identity_name"], LONGEST_NAME)


def place(finding: Mapping[str, Any]) -> str:
    """Say what a finding's subject is and where: two of one name, such as an application and its service principal, are told apart."""
    kind = str(finding["subject"]).removeprefix(f"{finding['provider']}:{finding['scope']}:").partition("/")[0]
    return cut(f"{kind.replace('-', ' ')}, {finding['provider']} {finding['scope']}", LONGEST_NAME)


def json_block(document: object) -> Markup:
    """Return a document of Great Expectations as indented JSON, escaped, for a `<pre>`."""
    lines = orjson.dumps(document, option=orjson.OPT_INDENT_2).decode().splitlines()
    return Markup("\n").join(escape(visible(line)) for line in lines)


def plural(count: int, one: str, many: str | None = None) -> str:
    """Say a number of things: `1 scope`, `1,200 scopes`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def plan(kind: str, count: int) -> str:
    """Say what is meant for a number of tickets: `open 9 tickets`."""
    return PLANS[kind].format(plural(count, "ticket"))


def bar(counts: Mapping[str, Any]) -> tuple[Part, ...]:
    """Lay out passed, failed, excepted and unknown side by side over 100 percent; empty where there is nothing to show."""
    there = [(kind, counts[kind]) for kind in PARTS if counts[kind]]
    total = sum(count for _, count in there)
    widths = [max(THINNEST, 100 * count / total) for _, count in there]
    stretched = sum(widths)
    parts, x = [], 0.0
    for (kind, _), width in zip(there, widths, strict=True):
        parts.append(Part(kind, round(x, 3), round(100 * width / stretched, 3)))
        x += 100 * width / stretched
    return tuple(parts)


def day(when: datetime) -> str:
    """Say a UTC time by its day."""
    return f"{when:%Y-%m-%d}"


def minute(when: datetime) -> str:
    """Say a UTC time to the minute."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def run_state(state: str, scopes: Sequence[Mapping[str, Any]]) -> str:
    """Say how far the reading came, such as `Partial: 1 of 5 scopes was not read`."""
    total = len(scopes)
    unread = sum(scope["state"] in ("denied", "failed") for scope in scopes)
    part = sum(scope["state"] == "partial" for scope in scopes)
    if total == 0:
        return "Failed: there was no scope to read."
    if state == "failed":
        return f"Failed: none of {plural(total, 'scope')} was read."
    if state == "complete":
        return f"Complete: {'the only scope was' if total == 1 else f'all {total:,} scopes were'} read."
    missing = [f"{unread:,} of {plural(total, 'scope')} {'was' if unread == 1 else 'were'} not read"] if unread else []
    missing += [f"{part:,} of {plural(total, 'scope')} {'was' if part == 1 else 'were'} read only in part"] if part else []
    return f"Partial: {', '.join(missing)}."


def check(expectation: Mapping[str, Any]) -> str:
    """Say one expectation in plain words, for the page and for docs/controls; an unknown kind of check is named with its arguments."""
    meta, kwargs = expectation["meta"], expectation["kwargs"]
    who = " or ".join(meta["subjects"])
    return f"Every {who} with {meta['population']} true must have {meta['fact']} {_must(expectation['type'], kwargs)}."


def _must(kind: str, kwargs: Mapping[str, Any]) -> str:
    if kind == "expect_column_values_to_be_between":
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        if low is not None and high is not None:
            return f"from {low:g} to {high:g}"
        if low is not None or high is not None:
            return f"at most {high:g}" if low is None else f"at least {low:g}"
    if kind == "expect_column_values_to_be_in_set":
        values = [_value(value) for value in kwargs["value_set"]]
        return values[0] if len(values) == 1 else f"one of {', '.join(values)}"
    arguments = {name: value for name, value in kwargs.items() if name not in ("column", "batch_id")}
    return f"{kind.removeprefix('expect_column_values_to_').replace('_', ' ')} {orjson.dumps(arguments).decode()}"


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def frameworks(ids: Iterable[str]) -> dict[str, list[str]]:
    """Group `framework:id` by the framework's name; one without a name keeps its short form."""
    found: dict[str, list[str]] = {}
    for each in ids:
        framework, _, number = each.partition(":")
        found.setdefault(_FRAMEWORKS.get(framework, framework), []).append(number)
    return found
