"""What is left of a partner's access, by a second reading of everything: row by row, and never `ended` where nobody could look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from countersign.errors import CountersignError
from countersign.offboarding.record import attempts_on_record
from countersign.revocation import Left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from countersign.offboarding.plan import Plan
    from countersign.programme import Programme
    from countersign.results import Tell
    from countersign.revocation import Change, Holding, Tried

Verdict = Literal["ended", "still there", "unknown", "excluded", "undecided", "no way"]
Result = Literal["refused", "accepted", "not told", "not tried"]
T = TypeVar("T")
Attempt = tuple[str, "Tried", "datetime"]
"""Uid of the holding, what came of trying its secret, and when (UTC)."""
READ = "read"
"""In `Plan.context` of a fresh plan: [provider, scope] of each scope that was read wholly."""
LEFT_OUT, ADVICE_LEFT_OUT = "left as it is on purpose", "plan again without the exclusion"
_NOBODY = "nobody here holds the secret"


class VerifyingError(CountersignError):
    """What is left cannot be told from what was read."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the old secret of a credential is still good for."""

    result: Result
    """`refused` only by the provider's own word; `not told`: it was tried and the answer tells nothing."""
    call: str | None
    """None: it was not tried."""
    said: str
    at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing that was the partner's, and what is left of it."""

    holding: Holding
    verdict: Verdict
    why: str | None
    """Why it has not ended; None for what has."""
    advice: str | None
    needed: tuple[Change, ...]
    """What would still have to be changed."""
    is_new: bool
    """Whether the plan did not have it."""
    proof: Proof | None
    """None for what has no secret."""


@dataclass(frozen=True, slots=True)
class ScopeRead:
    """One scope, and whether it was read wholly this time."""

    source: str
    provider: str
    scope: str
    why: str | None
    """Why it was not; None: it was."""


@dataclass(frozen=True, slots=True)
class Verified:
    """The outcome of a second reading."""

    at: datetime
    """When the reading began (UTC): what it says was so then or later."""
    rows: tuple[Row, ...]
    scopes: tuple[ScopeRead, ...]
    besides: tuple[Left, ...]
    """What is left or undecided and belongs to no row."""
    register: str
    """Digest of the register that it was judged under."""

    @property
    def ended(self) -> bool:
        """Whether everything has ended, everywhere, and everything was read."""
        return all(row.verdict == "ended" for row in self.rows) and all(scope.why is None for scope in self.scopes) and not self.besides


def verify(  # noqa: PLR0913 - whose, what, how it is read again, what was tried, and the surroundings
    programme: Programme,
    plan: Plan,
    replan: Callable[[Plan], Plan],
    attempts: Sequence[Attempt] = (),
    *,
    clock: Callable[[], datetime],
    tell: Tell,
) -> Verified:
    """Read everything again with the reading identity and say of each holding of the plan what is left of it.

    `replan` asks the plan's question afresh; `attempts` are added to those on record. Raises VerifyingError where the answer is to another
    question, CertificateError, EvidenceError, and whatever `replan` raises.
    """
    begun = clock()
    tell("reading again what is left", 0.0)
    fresh = replan(plan)
    if (fresh.customer, fresh.asked.partner, fresh.asked.phase) != (programme.customer, plan.asked.partner, plan.asked.phase):
        raise VerifyingError("what was read again is not what the plan is about", fix="verify the plan with the programme that made it")
    tried = (*attempts_on_record(programme, plan), *attempts)
    verified = judge(plan, fresh, tried, sources=[source.name for source in programme.sources], at=begun)
    ended = sum(row.verdict == "ended" for row in verified.rows)
    tell(f"{ended} of {len(verified.rows)} have ended", 1.0)
    return verified


def judge(plan: Plan, fresh: Plan, attempts: Sequence[Attempt], *, sources: Iterable[str], at: datetime) -> Verified:
    """Hold a plan against a fresh one of the same question; pure. `sources`: names of those that are configured now."""
    unread = _unread(plan, fresh, frozenset(sources))
    proofs = _proofs(attempts)
    known = {holding.uid for holding in plan.holdings}
    left = _Left(
        excluded=dict(plan.asked.without),
        needed=_by_uid((uid, change) for change in fresh.steps for uid in change.takes),
        stuck=_by_uid((each.uid, each) for each in fresh.left),
        undecided=_by_uid((each.uid, each) for each in fresh.undecided),
        unread=unread,
        proofs=proofs,
    )
    rows = [_row(holding, left, is_new=False) for holding in plan.holdings]
    rows += [_row(holding, left, is_new=True) for holding in fresh.holdings if holding.uid not in known]
    besides = tuple(_besides(plan, fresh, proofs, [row.holding for row in rows]))
    return Verified(at, tuple(rows), _scopes(plan, fresh, unread), besides, fresh.register)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Left:
    """What a second reading left over, by the uid that it is about."""

    excluded: Mapping[str, str]
    needed: Mapping[str, Sequence[Change]]
    stuck: Mapping[str, Sequence[Left]]
    undecided: Mapping[str, Sequence[Left]]
    unread: Mapping[tuple[str, str, str], str]
    """Scopes (source, provider, scope), and why each was not read."""
    proofs: Mapping[str, Proof]


def _by_uid(pairs: Iterable[tuple[str, T]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = {}
    for uid, each in pairs:
        found.setdefault(uid, []).append(each)
    return found


def _row(holding: Holding, left: _Left, *, is_new: bool) -> Row:
    needed = tuple(left.needed.get(holding.uid, ()))
    proof = left.proofs.get(holding.uid) or (Proof("not tried", None, _NOBODY, None) if holding.what == "credential" else None)
    verdict, why, advice = _verdict(holding, left, needed)
    if proof is not None and proof.result == "accepted" and verdict in {"ended", "unknown"}:
        verdict, why, advice = "still there", "the provider still takes its secret", "plan again and look at it by hand"
    return Row(holding=holding, verdict=verdict, why=why, advice=advice, needed=needed, is_new=is_new, proof=proof)


def _verdict(holding: Holding, left: _Left, needed: Sequence[Change]) -> tuple[Verdict, str | None, str | None]:
    """Decide; what was seen to be there counts before what could not be read, and nothing is ended where something could not be."""
    uids = (holding.uid, holding.identity_uid)
    for uid in uids:
        if uid in left.excluded:
            return "excluded", f"{LEFT_OUT}: {left.excluded[uid]}", ADVICE_LEFT_OUT
    if needed:
        return "still there", f"still to be done: {'; '.join(change.says for change in needed)}", "plan again and apply it"
    for stuck in left.stuck.get(holding.uid, ()):
        return "no way", stuck.why, stuck.advice
    for doubtful in (each for uid in uids for each in left.undecided.get(uid, ())):
        return "undecided", doubtful.why, doubtful.advice
    why = left.unread.get((holding.source, holding.provider, holding.scope))
    if why is not None:
        return "unknown", f"{holding.provider} {holding.scope} was not read: {why}", "let it be read, and verify again"
    return "ended", None, None


def _unread(plan: Plan, fresh: Plan, sources: frozenset[str]) -> dict[tuple[str, str, str], str]:
    """Return each scope that is not known to have been read wholly, and why.

    A scope is known to have been read when the fresh plan says so, or looked something up in it, and no part of it failed. One that is
    not spoken of at all, since its source was taken out of the configuration or its account left the organisation, is not known to be.
    """
    why: dict[tuple[str, str], list[str]] = {}
    for each in fresh.unread:
        why.setdefault((each.provider, each.scope), []).append(each.why)
    said = {(str(provider), str(scope)) for provider, scope in fresh.context.get(READ, ())}
    looked = {(holding.provider, holding.scope) for holding in fresh.holdings}
    found = {}
    for source, provider, scope in _places(plan, fresh):
        if (provider, scope) in why:
            found[source, provider, scope] = "; ".join(dict.fromkeys(why[provider, scope]))
        elif source not in sources:
            found[source, provider, scope] = f"the source {source} is not configured any more"
        elif (provider, scope) not in said | looked:
            found[source, provider, scope] = "nothing says that it was read this time"
    return found


def _places(plan: Plan, fresh: Plan) -> set[tuple[str, str, str]]:
    parts: tuple[Any, ...] = (*plan.holdings, *plan.steps, *plan.unread, *fresh.holdings, *fresh.steps, *fresh.unread)
    return {(each.source, each.provider, each.scope) for each in parts}


def _scopes(plan: Plan, fresh: Plan, unread: Mapping[tuple[str, str, str], str]) -> tuple[ScopeRead, ...]:
    return tuple(ScopeRead(*place, unread.get(place)) for place in sorted(_places(plan, fresh)))


def _besides(plan: Plan, fresh: Plan, proofs: Mapping[str, Proof], rows: Sequence[Holding]) -> Iterator[Left]:
    """Yield what is left and belongs to no row, once for each uid: nothing that is left may go untold."""
    told = {holding.uid for holding in rows}
    whose = {holding.identity_uid for holding in rows}
    for uid, why in plan.asked.without:
        if uid not in told | whose:
            told.add(uid)
            yield Left(uid, uid, f"{LEFT_OUT}: {why}", ADVICE_LEFT_OUT)
    for left in (*fresh.left, *fresh.undecided):
        if left.uid not in told:
            told.add(left.uid)
            yield left
    for change in fresh.steps:
        if told.isdisjoint({change.target, *change.takes}):
            told.add(change.target)
            yield Left(change.target, change.name, f"still to be done: {change.says}", "plan again and apply it")
    for uid, proof in proofs.items():
        if proof.result == "accepted" and uid not in told:
            yield Left(uid, uid, "the provider takes its secret, and it is nothing that was found", "look at it by hand")


def _proofs(attempts: Sequence[Attempt]) -> dict[str, Proof]:
    """Return the latest attempt of each uid that tells something, else the latest."""
    results: dict[bool | None, Result] = {True: "refused", False: "accepted", None: "not told"}
    found: dict[str, Proof] = {}
    for uid, tried, at in sorted(attempts, key=lambda attempt: attempt[2]):
        if tried.refused is not None or uid not in found or found[uid].result == "not told":
            found[uid] = Proof(results[tried.refused], tried.call, tried.said, at)
    return found


def before(proof: Proof, ended: datetime | None) -> Proof:
    """Return a proof as it counts for access that ended at a time: one from before then tells nothing about after."""
    if ended is None or proof.at is None or proof.at >= ended or proof.result == "not tried":
        return proof
    return replace(proof, result="not told", said=f"tried before it had ended, so it tells nothing: {proof.said}")
