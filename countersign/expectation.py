"""The record that an expectation is: what must hold, of whom, why it matters, and what to do when it does not."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

SubjectKind = Literal["identity", "credential", "scope", "register", "finding"]
Clock = Literal["escalate", "rotate", "revoke"]
Value = str | int | float | bool | None


class Severity(StrEnum):
    """How bad it is when the control fails; ordered from worst to mildest."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Holds:
    """A Great Expectations check of one fact: its type without `expect_`, the fact's column, and its arguments."""

    type: str
    column: str
    arguments: tuple[tuple[str, Value | tuple[Value, ...]], ...]

    def breaks(self) -> str:
        """Return the SQL predicate of the rows that break it, for the engine that fetches the failing keys.

        The judge compares its count with Great Expectations' own in every run. Raises ValueError for a type that
        nobody has translated.
        """
        arguments = dict(self.arguments)
        if self.type == "column_values_to_be_between" and set(arguments) <= {"min_value", "max_value"} and arguments:
            bounds = (("<", arguments.get("min_value")), (">", arguments.get("max_value")))
            return " OR ".join(f'"{self.column}" {sign} {_literal(bound)}' for sign, bound in bounds if bound is not None)
        if self.type == "column_values_to_be_in_set" and set(arguments) == {"value_set"}:
            values = arguments["value_set"]
            if isinstance(values, tuple):
                listed = ", ".join(_literal(value) for value in values)
                return f'"{self.column}" NOT IN ({listed})'
        raise ValueError(f"no SQL predicate is known for expect_{self.type} with {sorted(arguments)}; add it to Holds.breaks")


def expect(kind: str, *, column: str, **arguments: Value | list[Value]) -> Holds:
    """Say what must hold, in Great Expectations' own words: `expect("column_values_to_be_between", column=..., max_value=0)`."""
    frozen = ((name, tuple(value) if isinstance(value, list) else value) for name, value in arguments.items())
    return Holds(kind, column, tuple(frozen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One control, tested over the columns of `facts.sql`; the record decides nothing, it names what is compared."""

    id: str
    """The control id; the file is named after it."""
    title: str
    """What is wrong when it fails, as a ticket's headline."""
    why: str
    """Why anybody should care, in one sentence."""
    subjects: tuple[SubjectKind, ...]
    """What it judges."""
    population: str
    """Boolean fact: whether a subject is judged at all; null there means unknown, never `no`."""
    holds: Holds
    """What must be true of every member of the population whose fact is known."""
    reason: str
    """Why one subject fails, with facts in braces: `created {created_on}, {age_days} days ago`."""
    shows: tuple[str, ...]
    """Facts that the finding carries, by column; where a provider said them, the finding names the call."""
    unknown_from: tuple[str, ...]
    """Columns ending in `_why` that say, first non-null first, why a subject could not be judged."""
    remedy: str
    """Advice that goes into the ticket."""
    severity: Severity
    clock: Clock
    """Which of the register's service levels sets the due date."""
    maps_to: tuple[str, ...]
    """Framework ids, `framework:id`."""
    before: str
    """One case that fails, told to people: who, what, since when."""
    after: str
    """The same case put right."""
    example_held: dict[str, Value] = field(hash=False)
    example_broken: dict[str, Value] = field(hash=False)

    def reason_parts(self) -> tuple[tuple[str, bool], ...]:
        """Split `reason` into (text, is a fact) parts."""
        parts = re.split(r"\{(\w+)\}", self.reason)
        return tuple((part, bool(index % 2)) for index, part in enumerate(parts) if part)


def expectations() -> tuple[Expectation, ...]:
    """Load every record of the `expectations` folder, ordered by control id.

    Raises ValueError where a file holds not exactly one record, or one that is named differently from its file.
    """
    package = importlib.import_module("expectations")
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        records = [
            value for value in vars(importlib.import_module(f"expectations.{module.name}")).values() if isinstance(value, Expectation)
        ]
        if len(records) != 1 or records[0].id.replace("-", "_") != module.name:
            raise ValueError(f"expectations/{module.name}.py must hold one record with id={module.name.replace('_', '-')!r}")
        found.append(records[0])
    return tuple(sorted(found, key=lambda record: record.id))


def must_hold(control: str) -> str:
    """Say in one sentence what must hold: the first paragraph of its file. Raises ImportError where there is no such control."""
    says = (importlib.import_module(f"expectations.{control.replace('-', '_')}").__doc__ or "").strip()
    return " ".join(says.partition("\n\n")[0].split())


def _literal(value: Value | tuple[Value, ...]) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    raise ValueError(f"not a value that SQL can compare with: {value!r}")
