"""The life of a finding: a pure function of what is on file, what fails now, and what was really looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from datetime import datetime

SubjectKind = Literal["credential", "identity", "scope", "register", "finding"]
FindingState = Literal["open", "excepted", "resolved"]
Kind = Literal["new", "still", "changed", "reopened", "excepted", "exception-ended", "resolved", "unobserved"]
Seen = Mapping[tuple[str, str], frozenset[str]]
"""Every (provider, scope) that was read, to the kinds of subject whose listing is missing there: a positive list."""


class AllBut(frozenset[str]):
    """Every kind but these: what is missing where only some kinds were listed at all."""

    def __contains__(self, kind: object) -> bool:
        return not super().__contains__(kind)


FEW = 20
"""Below this many findings a share says nothing, so the run guard keeps quiet."""


def fingerprint(control: str, subject: str) -> str:
    """Name a finding for ever: SHA-256 hex of the control's id and the subject's uid; names and runs play no part."""
    return hashlib.sha256(f"{control}\0{subject}".encode(errors="surrogatepass")).hexdigest()


def inert(text: str) -> str:
    """Keep text from outside on its line: control, direction and other unprintable characters become spaces."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


class Failing(NamedTuple):
    """One subject that fails one control in this run (a tuple, because there may be half a million)."""

    fingerprint: str
    control: str
    subject: str
    subject_kind: SubjectKind
    identity: str | None
    """Uid of the identity behind the subject; None where there is none (a scope, a register entry)."""
    identity_name: str | None
    provider: str
    scope: str
    partner: str | None
    accountable: str | None
    """Id of the accountable person; None: nobody is known."""
    severity: str
    """`critical`, `high`, `medium` or `low`."""
    reason: str
    facts_digest: str
    due: datetime | None
    """When its time is over if its life begins in this run; None: no service level sets one."""
    excepted: str | None = None
    """Id of a valid exception."""
    excepted_until: datetime | None = None


class Known(NamedTuple):
    """One row of the ledger (a tuple, because half a million are held at once)."""

    fingerprint: str
    control: str
    subject: str
    subject_kind: SubjectKind
    identity: str | None
    identity_name: str | None
    provider: str
    scope: str
    partner: str | None
    accountable: str | None
    severity: str
    reason: str
    facts_digest: str
    state: FindingState
    first_seen: datetime
    since: datetime
    """When it last began to fail; an exception, granted or ended, does not move it."""
    due: datetime | None
    """When the time that was agreed when it began is over, pauses left aside; a later change of the register does not move it.

    None: nothing was agreed then.
    """
    closed_at: datetime | None = None
    reopened: int = 0
    """How often it came back after being resolved."""
    excepted: str | None = None
    excepted_until: datetime | None = None
    unobserved_since: datetime | None = None
    """First run that could not look, when the latest run could not either."""
    ticket_key: str | None = None
    """Key of the ticket that carries it."""
    last_seen_run: str | None = None
    """Last run that saw it fail."""


class Transition(NamedTuple):
    """What one run did to one finding; `after is before` when there is nothing to write."""

    kind: Kind
    before: Known | None
    """None: the ledger had no such finding."""
    after: Known


def life(  # noqa: PLR0913  (the ledger, the verdicts, and the three kinds of looking that a closure needs)
    known: Mapping[str, Known],
    failing: Iterable[Failing],
    *,
    unknown: Container[str],
    seen: Seen,
    judged: frozenset[str],
    as_of: datetime,
) -> Iterator[Transition]:
    """Yield one transition for each finding that fails now or stood open or excepted before; none is ever left out.

    `known` is the ledger by fingerprint, resolved rows included. `unknown` holds fingerprints whose subject exists
    but whose verdict is unknown. `judged` are the controls that came to verdicts. A finding is resolved only by proof:
    its scope was read and no listing of its kind is missing, its control was judged, and its verdict is not unknown.
    Register findings need their own (provider, scope) in `seen` like all others.

    Raises ValueError when `failing` names a fingerprint twice.
    """
    met: set[str] = set()
    for now in failing:
        if now.fingerprint in met:
            raise ValueError(f"{now.control} fails {now.subject} twice in one run")
        met.add(now.fingerprint)
        yield _met(known.get(now.fingerprint), now, as_of)
    for print_, before in known.items():
        if before.state == "resolved" or print_ in met:
            continue
        looked = was_seen(before, seen) and before.control in judged and print_ not in unknown
        yield _gone(before, as_of) if looked else _not_looked_at(before, as_of)


def was_seen(row: Known, seen: Seen) -> bool:
    """Whether a subject would have been seen if it were there: its absence then says that it is gone."""
    # Not split at colons: the id of a Google project may hold one.
    kind = row.subject.removeprefix(f"{row.provider}:{row.scope}:").partition("/")[0]
    return kind_seen((row.provider, row.scope), kind, seen)


def kind_seen(place: tuple[str, str], kind: str, seen: Seen) -> bool:
    """Whether subjects of a kind in a (provider, scope) would have been seen if they were there."""
    missing = seen.get(place)
    return missing is not None and kind not in missing


def _met(before: Known | None, now: Failing, as_of: datetime) -> Transition:
    stood = before is not None and before.state != "resolved"
    lapsed = now.excepted_until is not None and now.excepted_until <= as_of
    excepted = None if lapsed else now.excepted
    since = before.since if before is not None and stood else as_of
    after = Known(
        fingerprint=now.fingerprint,
        control=now.control,
        subject=now.subject,
        subject_kind=now.subject_kind,
        identity=now.identity,
        identity_name=None if now.identity_name is None else inert(now.identity_name),
        provider=now.provider,
        scope=now.scope,
        partner=now.partner,
        accountable=now.accountable,
        severity=str(now.severity),
        reason=inert(now.reason),
        facts_digest=now.facts_digest,
        state="open" if excepted is None else "excepted",
        first_seen=as_of if before is None else before.first_seen,
        since=since,
        due=before.due if before is not None and stood else now.due,
        reopened=0 if before is None else before.reopened + (not stood),
        excepted=excepted,
        excepted_until=None if excepted is None else now.excepted_until,
        ticket_key=None if before is None else before.ticket_key,
        last_seen_run=None if before is None else before.last_seen_run,
    )
    if before is None:
        return Transition("new" if excepted is None else "excepted", None, after)
    if not stood:
        return Transition("reopened" if excepted is None else "excepted", before, after)
    if before.state != after.state:
        return Transition("exception-ended" if excepted is None else "excepted", before, after)
    if _matter(before) != _matter(after):
        return Transition("changed", before, after)
    # Ages in reasons move every night: the row follows them, but nothing happened.
    return Transition("still", before, before if after == before else after)


def _matter(row: Known) -> tuple[object, ...]:
    return (row.facts_digest, row.severity, row.partner, row.accountable, row.excepted, row.excepted_until)


def _gone(before: Known, as_of: datetime) -> Transition:
    after = before._replace(state="resolved", closed_at=as_of, excepted=None, excepted_until=None, unobserved_since=None)
    return Transition("resolved", before, after)


def _not_looked_at(before: Known, as_of: datetime) -> Transition:
    after = before if before.unobserved_since is not None else before._replace(unobserved_since=as_of)
    if before.excepted_until is not None and before.excepted_until <= as_of:
        # It failed when last seen and nobody accepts it any more; not being able to look extends no exception.
        return Transition("exception-ended", before, after._replace(state="open", excepted=None, excepted_until=None))
    return Transition("unobserved", before, after)


def guard(  # noqa: PLR0913  (six counts and limits that only make sense together)
    *, new: int, gone: int, open_before: int, total: int, max_new_share: float, max_gone_share: float, first_run: bool = False
) -> str | None:
    """Say why a run must not be acted on, or None when it looks sound.

    `new` of the `total` findings that fail now were not on file; `gone` of the `open_before` are resolved. The first
    run ever may find anything. Fewer than 20 findings prove nothing.
    """
    if not first_run and total >= FEW and new > total * max_new_share:
        return f"{new} of {total} findings are new, more than the limit of {max_new_share:.0%}"
    if open_before >= FEW and gone > open_before * max_gone_share:
        return f"{gone} of {open_before} open findings are gone, more than the limit of {max_gone_share:.0%}"
    return None
