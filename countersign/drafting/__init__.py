"""Drafts register entries from what a run found: workloads and owners for what nobody registered, each guess with its reason."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from countersign.drafting.default_control import default_control
from countersign.drafting.found import search
from countersign.drafting.grouping import environment_of, environments_of_scopes, grouped
from countersign.drafting.guesses import Guess, Owners, purpose_of
from countersign.drafting.written import Decide, Draft, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from pathlib import Path

    from countersign.drafting.found import Found, Search
    from countersign.drafting.grouping import Group
    from countersign.programme import Programme
    from countersign.register.records import Register

__all__ = ["Decide", "Drafts", "Proposal", "draft", "drafts_of"]

_LONGEST_ID = 40


@dataclass(frozen=True, slots=True)
class Proposal:
    """One drafted file."""

    file: str
    """Path in the register, such as `workloads/acme-backup.yaml`."""
    entry: str
    """Id of the workload or control."""
    partner: str | None
    owner: str | None
    """None: left to a person."""
    why: str
    """What speaks for the owner."""
    identities: tuple[str, ...]
    """Patterns."""
    decide: tuple[Decide, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Drafts:
    """What is proposed, and what is not."""

    workloads: tuple[Proposal, ...]
    """By partner and id."""
    default: Proposal | None
    """The `default` control entry; None: every control has somebody already."""
    unnamed: tuple[str, ...]
    """Uids of identities that need a workload and that no pattern names alone."""
    left_out: Mapping[str, int]
    """Reason to count of unregistered identities that need no workload, as far as is known."""


def draft(programme: Programme, evidence: Path, as_of: datetime, judged: Sequence[str], *, partner: str | None = None) -> Drafts:
    """Draft entries from a sealed run's evidence, under the register as it is now.

    `as_of`: the run's. `judged`: ids of the controls that are judged. `partner`: draft this partner's workloads only, and no control.
    """
    return drafts_of(search(programme, evidence, as_of), programme.register, as_of, judged, partner=partner)


def drafts_of(looked: Search, register: Register, as_of: datetime, judged: Sequence[str], *, partner: str | None = None) -> Drafts:
    """Draft entries from what was found; pure."""
    found = [one for one in looked.found if one.pattern is not None]
    unnamed = tuple(one.uid for one in looked.found if one.pattern is None and partner in (None, one.partner))
    owners = Owners(register)
    said = [owners.said(one) for one in found]
    scopes = environments_of_scopes(register, {(one.provider, one.scope) for one in found})
    environments = [environment_of(one, register, scopes) for one in found]
    groups = [
        group
        for group in grouped(found, [guess.value for guess in said], [None if env is None else env[0] for env in environments], register)
        if partner in (None, group.partner)
    ]
    others: dict[str | None, Counter[str]] = defaultdict(Counter)
    for group in groups:
        if group.owner is not None:
            others[group.partner][group.owner] += 1
    names = _Names(register)
    today = register.today(as_of)
    proposals = []
    for group in groups:
        members = [found[position] for position in group.members]
        owner = owners.of(group, members, [said[position] for position in group.members], others)
        reasons = [env[1] for position in group.members if (env := environments[position]) is not None]
        environment = Guess(group.environment, reasons[0] if reasons else "others that look like the same use")
        name, hints = names.give(group, owner.value), owners.hints(members)
        guessed = _Guessed(name, owner, hints, purpose_of(members), environment)
        proposals.append(_workload(group, members, guessed, register, today))
    uncovered = [] if partner is not None else sorted(control for control in judged if register.control(control) is None)
    default = None
    if uncovered:
        made = default_control(register, uncovered, today)
        default = Proposal("controls/default.yaml", "default", None, None, "", (), tuple(made.decide), made.text())
    return Drafts(tuple(proposals), default, unnamed, looked.left_out)


@dataclass(frozen=True, slots=True)
class _Guessed:
    """What is guessed for one group."""

    name: str
    owner: Guess
    hints: tuple[str, ...]
    purpose: Guess
    environment: Guess


class _Names:
    """Gives workloads ids that are free, also where file names do not tell upper from lower case."""

    def __init__(self, register: Register) -> None:
        files = (place.file for (kind, _), place in register.places.items() if kind == "workload")
        held = (*register.workloads, *(file.rpartition("/")[2].removesuffix(".yaml") for file in files))
        self._taken = {name.casefold() for name in held}
        self._numbers: Counter[str] = Counter()

    def give(self, group: Group, owner: str | None) -> str:
        stem = _slug("-".join((group.partner or "", *group.label))) or "identities"
        tries = [stem, *(f"{stem}-{_slug(more)}" for more in (group.environment, owner) if more and _slug(more))]
        name = next((name for name in tries if name not in self._taken), "")
        while not name or name in self._taken:
            self._numbers[tries[-1]] += 1
            name = f"{tries[-1]}-{self._numbers[tries[-1]] + 1}"
        self._taken.add(name)
        return name


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_ID].strip("-")


def _workload(group: Group, members: Sequence[Found], guessed: _Guessed, register: Register, today: date) -> Proposal:
    made = Draft()
    made.comment("Drafted by `countersign register draft`: look at each line, then keep it in register/workloads/.")
    made.value("workload", quoted(guessed.name))
    if group.partner is not None:
        made.value("partner", quoted(group.partner), f"guess: {members[0].partner_how} ({members[0].uid})")
    unsure = next((one for one in members if one.partner_why is not None), None)
    if group.partner is None and unsure is not None:
        made.comment(f"hint: it may be a partner's; not known for {unsure.uid}: {unsure.partner_why}")
    conflict = next((one for one in members if one.conflict is not None), None)
    if conflict is not None:
        made.comment(f"hint: evidence contradicts itself for {conflict.uid}: {conflict.conflict}")
    owner, purpose, environment = guessed.owner, guessed.purpose, guessed.environment
    if owner.value is None:
        made.open("owner", "owner", f"which of your people answers for it? {owner.why}")
    else:
        made.value("owner", quoted(owner.value), f"guess: {owner.why}")
    for hint in guessed.hints:
        made.comment(f"hint: {hint}")
    if purpose.value is None or not quoted(purpose.value).strip('" '):
        made.open("purpose", "purpose", f"what is it for? {purpose.why}")
    else:
        made.value("purpose", quoted(purpose.value), f"guess: {purpose.why}")
    if environment.value is not None:
        made.value("environment", quoted(environment.value), f"guess: {environment.why}")
    _expires(made, group.partner, register, today)
    if group.is_rest:
        made.comment("hint: each looks like a use of its own; they are too many to draft one by one, so all of one place are together")
    made.lines.append("identities:")
    for one in sorted(members, key=lambda one: str(one.pattern)):
        shown = [] if str(one.pattern).endswith(f"/{one.name}") else [one.name]
        made.item(quoted(str(one.pattern)), "; ".join((*shown, *([one.partner_how] if one.partner_how else []))))
    patterns = tuple(sorted(str(one.pattern) for one in members))
    return Proposal(
        f"workloads/{guessed.name}.yaml", guessed.name, group.partner, owner.value, owner.why, patterns, tuple(made.decide), made.text()
    )


def _expires(made: Draft, partner: str | None, register: Register, today: date) -> None:
    contract = None if partner is None else register.partners[partner].contract
    if contract is None:
        made.open("expires", "expires", "it is your own: until which day may it be used?")
    elif contract.ends is None:
        made.open("expires", "expires", f"contract {contract.reference} has no end: until which day may it be used?")
    else:
        over = "; it is over: end the access, or renew the contract" if contract.ends < today else ""
        made.value("expires", contract.ends.isoformat(), f"guess: the end of contract {contract.reference}{over}")
