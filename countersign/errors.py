"""Errors that a person can act on: each says what is wrong, where, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file that a person can open."""

    file: str
    """Path as the user gave it, relative to the programme folder where possible."""
    line: int | None = None
    """1-based; None when the problem is the file as a whole."""

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


class CountersignError(Exception):
    """Anything that stops a command; `exit_code` follows docs/operations.md (2 usage, 4 failed)."""

    exit_code = 4

    def __init__(self, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return self.message if self.fix is None else f"{self.message}\n  fix: {self.fix}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file that the customer wrote."""

    where: Where
    field: str
    """Dotted path of the field, such as `contract.ends`; empty for the whole entry."""
    message: str
    fix: str
    rule: str = "syntax"
    """Short name of the rule that was broken, such as `raci-accountable`."""

    def __str__(self) -> str:
        field = f" {self.field}:" if self.field else ""
        return f"{self.where}:{field} {self.message}\n  fix: {self.fix}"


class ConfigError(CountersignError):
    """The programme folder cannot be used as it is; carries every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class ReadError(CountersignError):
    """A scope could not be read this time; trying again may help."""

    def __init__(self, operation: str, message: str) -> None:
        super().__init__(f"{operation}: {message}")
        self.operation = operation


class ScopeDeniedError(ReadError):
    """The provider refused; trying again with the same permissions will not help."""


class NotJudgedError(CountersignError):
    """The verdicts of a run cannot be trusted, so there are none."""


class EvidenceError(CountersignError):
    """Evidence could not be written, or does not hold."""
