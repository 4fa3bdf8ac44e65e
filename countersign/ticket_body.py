"""What a ticket says, in parts, and the two ways to write it: plain text, and Markdown in which nothing from outside acts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

LONGEST = 500
"""Characters of one value from outside that are written; what identifies anything is shorter."""
LINES = 4
"""Lines of commands that stand for one point."""
FEWER = (12, 8, 5, 3, 2, 1)
"""How many points of a list are kept, where more do not fit."""
CUT = "... and more than fits here; the evidence has it all."


@dataclass(frozen=True, slots=True)
class Quoted:
    """Words from outside, or of people's: kept on their line, and in Markdown a piece of code, in which nothing is rendered or linked."""

    text: str

    def __str__(self) -> str:
        words = inert(self.text)
        return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


Words = tuple[str | Quoted, ...]
"""A sentence: what is not `Quoted` is ours, and may be read as Markdown."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The name of what follows."""

    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence or two."""

    words: Words


@dataclass(frozen=True, slots=True)
class Points:
    """A list; each point may have further lines of its own."""

    points: tuple[tuple[Words, ...], ...]
    numbered: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a shell, letter for letter."""

    lines: tuple[str, ...]


Part = Heading | Line | Points | Commands
Body = tuple[Part, ...]


def line(*words: str | Quoted) -> Line:
    """Make a line of words."""
    return Line(words)


def in_plain(body: Body) -> str:
    """Write a body as plain text."""
    return "\n".join(_plain_lines(body))


def in_markdown(body: Body, most: int) -> str:
    """Write a body in Markdown of at most `most` characters: what does not fit is left out piece by piece, and that is said.

    Source: GitHub Flavored Markdown 0.29 (code spans, fenced code); GitLab reads these alike.
    """
    pieces = ["".join(("\n" if goes_on else "\n\n", piece)) for goes_on, piece in _markdown_pieces(body)]
    whole = "".join(pieces).removeprefix("\n\n")
    if len(whole) <= most:
        return whole
    kept = ""
    for piece in pieces:
        if len(kept) + len(piece) > most - len(CUT):
            break
        kept += piece
    return f"{kept}\n\n{CUT}".removeprefix("\n\n")


def fitting(body: Body, write: Callable[[Body], str], most: int) -> Body:
    """Return a body that `write` writes in at most `most` characters, if leaving out numbered points and commands at the end does that.

    So what a list is followed by stays, such as how to fix what it lists. Where that is not enough the shortest is returned.
    """
    found = body
    for kept in FEWER:
        if len(write(found)) <= most:
            break
        found = tuple(less for part in body for less in _shorter(part, kept))  # of the whole body, so that it says once what is left out
    return found


def code(text: str) -> str:
    """Write words as a code span that they cannot end."""
    if not text.strip():
        return "`(blank)`"
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _shorter(part: Part, kept: int) -> tuple[Part, ...]:
    match part:
        case Points(points, numbered=True) if len(points) > kept:
            return (Points(points[:kept], numbered=True), line(f"... and {len(points) - kept} more that do not fit here."))
        case Commands(lines) if len(lines) > kept * LINES:
            return (Commands((*lines[: kept * LINES], "# ...")),)
        case _:
            return (part,)


def _plain_lines(body: Body) -> Iterator[str]:
    before: Part | None = None
    for part in body:
        if before is not None and not isinstance(before, Heading):
            yield ""
        match part:
            case Heading(text):
                yield f"{text}:"
            case Line(words):
                yield _plain(words)
            case Points(points, numbered):
                for number, (first, *more) in enumerate(points, 1):
                    yield f"{f'{number}.' if numbered else '-'} {_plain(first)}"
                    yield from (f"   {_plain(words)}" for words in more)
            case Commands(lines):
                yield from (f"    {inert(text)}" for text in lines)
        before = part


def _plain(words: Iterable[str | Quoted]) -> str:
    return "".join(map(str, words))


def _markdown_pieces(body: Body) -> Iterator[tuple[bool, str]]:
    """Yield pieces that may stand or fall alone, and whether each goes on in the list before it."""
    for part in body:
        match part:
            case Heading(text):
                yield False, f"### {text}"
            case Line(words):
                yield False, _marked(words)
            case Points(points, numbered):
                for number, (first, *more) in enumerate(points, 1):
                    mark = f"{number}." if numbered else "-"
                    lines = (f"{mark} {_marked(first)}", *(f"{' ' * (len(mark) + 1)}- {_marked(words)}" for words in more))
                    yield number > 1, "\n".join(lines)
            case Commands(lines):
                yield False, _fenced([inert(text) for text in lines])


def _marked(words: Words) -> str:
    return "".join(code(str(word)) if isinstance(word, Quoted) else word for word in words)


def _fenced(lines: Sequence[str]) -> str:
    fence = "`" * max(3, 1 + max((len(run) for text in lines for run in re.findall("`+", text)), default=0))
    return "\n".join((f"{fence}sh", *lines, fence))
