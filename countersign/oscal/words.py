"""How values are written in OSCAL: names from outside as text that no Markdown acts on, times with `Z`, uuids that stay the same."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from countersign.clock import stamp
from countersign.finding import inert

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "1.2.1"
"""Of OSCAL."""
NAMESPACE = UUID("bdafabe2-f166-4c7d-a544-07c16040f220")
"""Every uuid is a version 5 one (RFC 9562) in this namespace, of the names that `ident` joins by NUL."""
NS = NAMESPACE.urn
"""Namespace of our props: a URN that needs no registration."""
_LONGEST = 500
_ACTS = re.compile(r"([\\`*_{}\[\]<>&~^!$|\"])")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_YEARS = range(1970, 3000)
"""What OSCAL's pattern of times takes without gaps."""


def ident(kind: str, *names: str) -> str:
    """Return the uuid of the thing of this kind that has these names: the same in every document."""
    return str(uuid5(NAMESPACE, "\0".join((kind, *names))))


def line(text: object) -> str:
    """Return text as OSCAL's `string`: one printable line without spaces around it, cut after 500 characters; exact, no Markdown."""
    said = " ".join(inert(str(text)).split())
    said = said if len(said) <= _LONGEST else said[:_LONGEST].rstrip() + "…"
    return said or "(empty)"


def markup(text: object) -> str:
    """Return text as OSCAL's `markup-line`: as `line`, and nothing in it acts as Markdown, HTML or an insertion."""
    return _ACTS.sub(r"\\\1", line(text))


def token(text: str) -> str:
    """Return text as OSCAL's `token`; what cannot be one becomes a name made from its digest."""
    return text if len(text) <= _LONGEST and _TOKEN.fullmatch(text) else f"id-{ident('token', text)}"


def moment(when: datetime | None) -> str | None:
    """Write a time (UTC, with or without its zone); None: there is none, or it lies outside the years that OSCAL can write."""
    if when is None or when.year not in _YEARS:
        return None
    return stamp(when.replace(tzinfo=UTC) if when.tzinfo is None else when)


def midnight(day: date | None) -> str | None:
    """Write the beginning of a day (UTC); None as for `moment`."""
    return None if day is None else moment(datetime.combine(day, time(), UTC))


def props(said: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return props in our namespace, by name; a None is left out."""
    return [
        {"name": name, "ns": NS, "value": str(value).lower() if isinstance(value, bool) else line(value)}
        for name, value in said.items()
        if value is not None
    ]


def kept(said: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is None or an empty list: OSCAL has neither."""
    return {name: value for name, value in said.items() if value is not None and value != []}
