"""What desks write into tickets of trackers that render text: one key, one line for a title, and names that act on nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from countersign.clock import stamp
from countersign.desk import DeskError
from countersign.finding import inert
from countersign.ticket_body import CUT, fitting, in_markdown, in_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from countersign.desk import Ticket
    from countersign.desk_settings import Severities
    from countersign.remediation import Draft

EVIDENCE = "Evidence: "
"""How the line begins that names the run behind a text."""
MARK = "countersign"
"""A label that all our tickets bear, so that people and we can list them."""
KEY = re.compile(r"cs1-[a-z2-7]{26}")
_LAST_LINE = re.compile(r"Ticket key: (cs1-[a-z2-7]{26})")
# What begins a mention, a reference or a link on GitHub or GitLab; an address of mail and an ARN begin none.
_REFERS = re.compile(r"((?<!\w)@|[#!~&$%^](?=[\w\"'{])|[\[*](?=\w+:)|\](?=\())")
_REFUSALS = frozenset({"wontfix", "wontdo", "notplanned", "declined", "rejected"})
_SLASH = re.compile(r"(?m)^(\s*)/")
UNLIMITED = 10**9
_CUT = f"\n{CUT}"


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


def marks(key: str, draft: Draft, severities: Severities[str] | None) -> list[str]:
    """Return the labels that a ticket of ours is to bear, where the tracker has labels; `severities` None: none says how severe it is."""
    return [MARK, key] if severities is None else [MARK, key, severities.of(draft.severity)]


def described(draft: Draft, key: str, most: int) -> str:
    """Write the description of at most `most` characters that ends in severity, due date and key; what is too much is cut before those."""
    foot = f"\n\nSeverity: {inert(draft.severity)}\nDue: {_due(draft)}\nTicket key: {key}"
    room = most - len(foot)
    body = plain(in_plain(fitting(draft.body, in_plain, room))).rstrip()
    return f"{body if len(body) <= room else body[: room - len(_CUT)] + _CUT}{foot}"


def described_in_markdown(draft: Draft, key: str, most: int) -> str:
    """Write the same in Markdown, in which what comes from outside stands in code, where nothing is rendered, linked or mentioned."""
    foot = f"\n\n---\n\n- Severity: {inert(draft.severity)}\n- Due: {_due(draft)}\n\nTicket key: {key}"
    room = most - len(foot)
    return f"{in_markdown(fitting(draft.body, lambda body: in_markdown(body, UNLIMITED), room), room)}{foot}"


def _due(draft: Draft) -> str:
    return "none" if draft.due is None else stamp(draft.due)


def stated_key(text: str) -> str | None:
    """Return the key in the last line of a description of ours; None: it ends in something else."""
    match = _LAST_LINE.fullmatch(text.rstrip().rpartition("\n")[2].strip())
    return None if match is None else match[1]


def fenced(text: str) -> str:
    """Put text into a code block of Markdown that it cannot end: there nothing is rendered, linked, mentioned or run."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def as_written(text: object) -> str:
    """Return a description as we wrote it: trackers give other line ends back, and drop blanks at the end."""
    return str(text or "").replace("\r\n", "\n").strip()


def unfenced(markdown: str) -> str:
    """Take a code block of ours off again; another text stays as it is, but for its line ends."""
    text = as_written(markdown)
    match = re.fullmatch(r"(`{3,})text\n(.*)\n\1", text, re.DOTALL)
    return text if match is None else match[2]


def is_refusal(word: str) -> bool:
    """Say whether a tracker's word for how a ticket ended means that it is not to be fixed."""
    return re.sub(r"[^a-z]", "", word.lower()) in _REFUSALS


def foremost(tickets: Iterable[Ticket]) -> Ticket | None:
    """Return of one key's tickets, newest first, the newest open one, else the newest; None: there are none."""
    return min(tickets, key=lambda ticket: ticket.state != "open", default=None)
