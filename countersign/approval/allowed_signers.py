"""`register/allowed_signers`: whose key is whose, in OpenSSH's format (ssh-keygen(1), ALLOWED SIGNERS)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from countersign.approval import sshsig

_STAMP = re.compile(r"(\d{8})(\d{4})?(\d\d)?(Z?)", re.ASCII)
_WORD = re.compile(r'(?:"[^"]*"|[^\s"])+')
_OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?(?:,|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Signer:
    """A line of `allowed_signers` that can be used."""

    line: int
    """1-based."""
    principals: tuple[str, ...]
    key: bytes
    """Public key in SSH's wire format."""
    ours: bool
    """Whether the key may sign for us; False: its line allows other namespaces only."""
    after: datetime | None
    """From when the key counts."""
    before: datetime | None
    """Until when the key counts."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A line of `allowed_signers` by which nobody can sign."""

    line: int
    message: str
    fix: str


@lru_cache(maxsize=16)
def read(text: str, zone: str, namespace: str) -> tuple[Signer | Unusable, ...]:
    """Read `allowed_signers` (ssh-keygen(1), ALLOWED SIGNERS); a time without Z is meant in `zone`.

    Patterns and certificate authorities cannot be used here: a line has to say whose key it is.
    """
    # Lines end where they end for ssh-keygen, so that no other separator brings a key out of what is a comment to everybody else.
    lines = ((number, line.strip(" \t\r")) for number, line in enumerate(text.split("\n"), 1))
    return tuple(_signer(number, line, zone, namespace) for number, line in lines if line and not line.startswith("#"))


def _signer(number: int, line: str, zone: str, namespace: str) -> Signer | Unusable:
    unreadable = Unusable(number, "is not a line of allowed_signers", 'write: NAME namespaces="countersign" ssh-ed25519 KEY')
    words = _WORD.findall(line)
    if '"' in re.sub(r'"[^"]*"', "", line) or len(words) < 3:  # noqa: PLR2004 - name, kind, key
        return unreadable
    options = _options("") if words[1] in sshsig.KEY_TYPES else _options(words.pop(1))
    if options is None or len(words) < 3:  # noqa: PLR2004 - as above
        return unreadable
    principals = tuple(words[0].replace('"', "").split(","))
    namespaces = options.get("namespaces")
    ours = namespaces is None or namespace in namespaces.split(",")
    if ours and "cert-authority" in options:
        return Unusable(number, "trusts a certificate authority, whose keys nobody has seen", "list each person's own key instead")
    if ours and re.search(r"[*?!]", words[0]) is not None:
        return Unusable(number, "names a pattern, so the key could sign for anybody", "name one person by id or e-mail")
    try:
        after, before = (None if (said := options.get(name)) is None else _moment(said, zone) for name in ("valid-after", "valid-before"))
        key = sshsig.decoded(words[2])
        known = sshsig.key_type(key) == words[1]
    except ValueError:
        return unreadable
    return Signer(number, principals, key, ours, after, before) if known and all(principals) else unreadable


def _options(text: str) -> dict[str, str] | None:
    """Read the options of a line; None where they cannot be read or are not known: one that is passed over might forbid."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _OPTION.match(text, at)
        name = "" if match is None else match[1].lower()
        if match is None or name not in ("cert-authority", "namespaces", "valid-after", "valid-before") or name in found:
            return None
        found[name] = match[2] or ""
        at = match.end()
    return found


def _moment(text: str, zone: str) -> datetime:
    """Read YYYYMMDD[HHMM[SS]][Z]. Raises ValueError."""
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    day, minutes, seconds, utc = match.groups()
    when = datetime.strptime(f"{day}{minutes or '0000'}{seconds or '00'}", "%Y%m%d%H%M%S")  # noqa: DTZ007 - the zone follows
    return when.replace(tzinfo=UTC if utc else ZoneInfo(zone)).astimezone(UTC)
