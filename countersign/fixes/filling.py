"""How a fix is written down, and how its placeholders are filled so that no command can touch anything but what was found."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
"""A name in braces; the braces of JSON hold a quote, and none of ours is empty."""


DELETES_LAST = "The line that deletes is for after the watch period."
"""What every fix says that ends in a deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """How one kind of subject is put right at its provider."""

    says: str
    """What to do, in one to three short sentences, the reversible step first; the same for all subjects of a kind, with no name in it."""
    console: str | None
    """Where to click, with `>` between the steps; None: no console has it."""
    commands: tuple[str, ...]
    """One line of a POSIX shell each. A word in capitals is for the reader to fill in."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a finding tells of its subject: which fixes are its own, and what goes into their placeholders."""

    kind: str
    """The subject's kind, or a finer one where a kind is put right in several ways (`root-user`)."""
    values: Mapping[str, str | None]
    """By placeholder; None where it was not read."""


def filled(fix: Fix, values: Mapping[str, str | None], shapes: Mapping[str, re.Pattern[str]]) -> Fix:
    """Return the fix with its placeholders filled.

    In commands a value is written as one word of the shell, and only where it has the shape that the provider gives such values:
    else the placeholder stays, in capitals. Shapes keep out what a command line tool takes for more than a value (`-x`, `@file`).
    The console's path shows values as they are, but for what would act on whoever reads it. Raises KeyError for a placeholder of no shape.
    """

    def word(match: re.Match[str]) -> str:
        name = match[1]
        shape, value = shapes[name], values.get(name)
        safe = value is not None and inert(value) == value and shape.fullmatch(value) is not None
        return shlex.quote(value) if safe and value is not None else name.upper()

    def shown(match: re.Match[str]) -> str:
        return " ".join(inert(values.get(match[1]) or "").split()) or match[1].upper()

    return replace(
        fix,
        console=None if fix.console is None else PLACEHOLDER.sub(shown, fix.console),
        commands=tuple(PLACEHOLDER.sub(word, command) for command in fix.commands),
    )


def shapes(**patterns: str) -> Mapping[str, re.Pattern[str]]:
    """Compile the shapes of a provider's values; only ASCII counts as letters and digits."""
    return {name: re.compile(pattern, re.ASCII) for name, pattern in patterns.items()}
