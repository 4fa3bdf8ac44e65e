"""What the core asks of a connector, and what it gets back."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from countersign.identity import Credential, Identity, Provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from countersign.errors import ScopeDeniedError
    from countersign.identity import Record
    from countersign.programme import Source


EXPORT = "file:"
"""Beginning of an operation that read a file instead of asking a provider; its coverage names the kinds that the file lists."""


@dataclass(frozen=True, slots=True)
class Scope:
    """One unit that is read, denied or failed as a whole: an account, a namespace, a folder of files."""

    source: str
    """Name of the source in countersign.yaml."""
    provider: str
    name: str
    """Account number, `<source>` or `<source>/<namespace>` for Vault, the export's own account or tenant for files."""
    detail: Mapping[str, str] = field(default_factory=dict)
    """What the connector needs to reach it again (role ARN, namespace, path).

    Under `own`, with commas: scopes of the same customer that were found with it and are not to be read, such as closed accounts.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """What is known of a credential before its id is: enough to say whether the id is worth a call."""

    name: str
    tags: Mapping[str, str]
    created_at: datetime | None
    last_used_at: datetime | None
    several: bool
    """Whether the same identity has another enabled one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """Everything a connector may know about the run it serves; it has no clock and no policy of its own."""

    source: Source
    scope: Scope
    run: str
    """Run id, for session names in the provider's own logs."""
    now: Callable[[], datetime]
    needs_id: Callable[[KeyRow], bool] = lambda _row: True
    """Whether a key's own id must be looked up (it may fail a control, or a partner is behind it)."""
    named: frozenset[str] = frozenset()
    """Uids of identities with keys that standing findings name by their id: they bear the same name tonight, whatever else changed."""
    kept: Path | None = None
    """A folder for this source and scope that outlives the run, for answers that need not be asked again.

    It may be missing, and it may be deleted at any time: then everything is read afresh. None: nothing is kept.
    """


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing `countersign doctor` tried on a source."""

    scope: str
    operation: str
    ok: bool
    detail: str
    """Who we are to the provider when ok, else the provider's reason and the permission that is missing."""


class Connector(Protocol):
    """The face of `connectors/<provider>.py`."""

    PROVIDER: str
    PERMISSIONS: tuple[str, ...]
    """Every permission that reading may use, sorted, by the provider's own names."""
    REVOKE_PERMISSIONS: tuple[str, ...]
    """Every permission that revoking what is read here would take, sorted; held by another identity than the reader's."""

    def permission_files(self) -> Mapping[str, str]:
        """Give what an administrator of the provider installs, file name to text: for reading and for revoking apart."""
        ...

    def scopes(self, source: Source) -> tuple[Scope, ...]:
        """List the scopes that should be read; raises ReadError when they cannot be listed."""
        ...

    def read(self, request: ReadRequest) -> Iterator[Record]:
        """Yield records page by page.

        A denied or failing *operation* is yielded as a Coverage row and reading goes on; a scope that cannot be
        reached at all raises ScopeDeniedError (no use trying again) or ReadError (trying again may help).
        """
        ...

    def probe(self, source: Source) -> Iterator[Probe]:
        """Try each scope's reads with the smallest possible call; change nothing."""
        ...


def connector(provider: str) -> Connector:
    """Load `connectors/<provider>.py`; the programme loader has checked that it exists."""
    return cast("Connector", importlib.import_module(f"connectors.{provider}"))


def unless_denied(records: Iterable[Record], shows: Callable[[Record], bool], denied: ScopeDeniedError) -> Iterator[Record]:
    """Hold records back until one `shows` that something was allowed, then yield all; raise `denied` where none does.

    So a scope where nothing is allowed is one refusal, not a row for each operation.
    """
    held: list[Record] = []
    allowed = False
    for record in records:
        allowed = allowed or shows(record)
        held.append(record)
        if allowed:
            yield from held
            held.clear()
    if not allowed:
        raise denied


def traced(records: Iterable[Record], calls: Iterable[tuple[str, str, str]], scope: Scope, at: datetime) -> Iterator[Record]:
    """Add to the records which call says what of them: `calls` are (kind, field, call), told of the kinds that there are."""
    kinds: set[str] = set()
    for record in records:
        if isinstance(record, Identity | Credential):
            kinds.add(record.kind)
        yield record
    for kind, name, call in calls:
        if kind in kinds:
            yield Provenance(provider=scope.provider, scope=scope.name, kind=kind, field=name, call=call, at=at)
