"""A drafted entry as a YAML file: values that cannot break out of their line, a reason beside each, and the lines left to a person."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from countersign.finding import inert

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:[./][A-Za-z0-9_-]+)*")
_WORDS_OF_YAML = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_LONGEST = 160
"""Characters of a comment."""


@dataclass(frozen=True, slots=True)
class Decide:
    """A line that only a person can fill in; `register check` fails there until somebody does."""

    line: int
    """1-based."""
    field: str
    """Dotted."""
    question: str


@dataclass(slots=True)
class Draft:
    """A file under way."""

    lines: list[str] = field(default_factory=list)
    decide: list[Decide] = field(default_factory=list)

    def comment(self, text: str, indent: str = "") -> None:
        """Add a line that only people read."""
        self.lines.append(f"{indent}# {_one_line(text)}")

    def value(self, key: str, value: str, why: str = "", *, indent: str = "") -> None:
        """Add a field with its reason."""
        self.lines.append(f"{indent}{key}: {value}{f'  # {_one_line(why)}' if why else ''}")

    def open(self, key: str, dotted: str, question: str, *, indent: str = "") -> None:
        """Add a field that is left to a person."""
        self.lines.append(f"{indent}{key}:  # DECIDE: {_one_line(question)}")
        self.decide.append(Decide(len(self.lines), dotted, _one_line(question)))

    def item(self, value: str, why: str = "") -> None:
        """Add an item of the list that was begun last."""
        self.lines.append(f"  - {value}{f'  # {_one_line(why)}' if why else ''}")

    def text(self) -> str:
        """Return the file's content."""
        return "\n".join(self.lines) + "\n"


def quoted(text: str) -> str:
    """Write a text as a YAML value on one line; what is not printable becomes a space."""
    said = inert(text)
    if _PLAIN.fullmatch(said) and said.casefold() not in _WORDS_OF_YAML:
        return said
    return json.dumps(said, ensure_ascii=False)


def _one_line(text: str) -> str:
    said = " ".join(inert(text).split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
