"""What desks write into tickets of trackers that render text: one key, one line for a title, and names that act on nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.desk import DeskError
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Iterable

    from countersign.desk import Ticket
    from countersign.remediation import Draft

MARK = "countersign"
"""A label that all our tickets bear, so that people and we can list them."""
KEY = re.compile(r"cs1-[a-z2-7]{26}")
_LAST_LINE = re.compile(r"Ticket key: (cs1-[a-z2-7]{26})")
# What begins a mention, a reference or a link on GitHub or GitLab; an address of mail and an ARN begin none.
_REFERS = re.compile(r"((?<!\w)@|[#!~&$%^](?=[\w\"'{])|[\[*](?=\w+:)|\](?=\())")
_SLASH = re.compile(r"(?m)^(\s*)/")
_CUT = "\n... and more than fits here; the evidence has it all."


def checked(key: str) -> str:
    """Return the key; raises DeskError when it is none."""
    if not KEY.fullmatch(key):
        raise DeskError(f"{key!r} is no key of a ticket")
    return key


def title(text: str, most: int) -> str:
    """Write a title of at most `most` characters on one line, in which nobody is mentioned and nothing is referred to."""
    words = " ".join(_REFERS.sub(r"\1 ", inert(text).replace("`", "'").replace("<", "(").replace(">", ")")).split())
    return words if len(words) <= most else words[: most - 3].rstrip() + "..."


def plain(text: str) -> str:
    """Keep text as it is, except for characters that act on whoever reads it, and for lines that GitLab would take for commands."""
    return _SLASH.sub(r"\1- /", "\n".join(inert(line) for line in text.split("\n")))


def described(draft: Draft, key: str, most: int) -> str:
    """Write the description of at most `most` characters that ends in severity, due date and key; what is too much is cut before those."""
    due = "none" if draft.due is None else stamp(draft.due)
    foot = f"\n\nSeverity: {inert(draft.severity)}\nDue: {due}\nTicket key: {key}"
    body = plain(draft.body).rstrip()
    room = most - len(foot)
    return f"{body if len(body) <= room else body[: room - len(_CUT)] + _CUT}{foot}"


def stated_key(text: str) -> str | None:
    """Return the key in the last line of a description of ours; None: it ends in something else."""
    match = _LAST_LINE.fullmatch(text.rstrip().rpartition("\n")[2].strip())
    return None if match is None else match[1]


def fenced(text: str) -> str:
    """Put text into a code block of Markdown that it cannot end: there nothing is rendered, linked, mentioned or run."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def unfenced(markdown: str) -> str:
    """Take a code block of ours off again; another text stays as it is, but for its line ends."""
    text = markdown.replace("\r\n", "\n").strip()
    match = re.fullmatch(r"(`{3,})text\n(.*)\n\1", text, re.DOTALL)
    return text if match is None else match[2]


def foremost(tickets: Iterable[Ticket]) -> Ticket | None:
    """Return of one key's tickets, newest first, the newest open one, else the newest; None: there are none."""
    return min(tickets, key=lambda ticket: ticket.state != "open", default=None)
