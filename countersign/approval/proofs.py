"""What is held against each other to decide whether a plan is approved: the plan in a few facts, and what people gave as proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

Choice = Literal["approve", "decline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFacts:
    """What a decision needs to know of a plan."""

    subject: str
    """What approvals name it by: `plan/<plan id>`."""
    digest: str
    """SHA-256 (hex) of plan.json."""
    made_at: datetime
    """UTC; approvals are younger."""
    expires: datetime
    """UTC; from then on nothing approves it."""
    requested_by: str
    """Id of a person of the customer's, who does not approve it; or ourselves."""
    control: str
    """Control whose accountable people decide."""
    phase: Literal["disable", "delete", "restore"]
    steps: int
    """How many things it changes."""
    needed: int
    """How many approvers it says that it takes; the register's own rule may ask for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureProof:
    """A statement, and an SSH signature over it."""

    name: str
    """Where it lies, for people."""
    statement: bytes
    signature: str
    """Text of the `.sig` file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitProof:
    """A statement that one signed commit of the register's repository added; that it did has been looked up (approval/commit.py)."""

    name: str
    statement: bytes
    signed: bytes
    """What the commit's signature is over: the commit without it."""
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketProof:
    """A change of state of the plan's approval ticket, from the history of a tracker.

    Give all changes of state of a ticket, in the order of its history: only the last one of a ticket counts, so that whoever opens it
    again takes the approval back.
    """

    name: str
    """The ticket and the entry of its history, for people."""
    desk: str
    """Name by which `accounts` in customer.yaml knows the tracker; the customer owns those that it names there."""
    ticket: str
    made_by: str
    """Account that made the ticket, by its history."""
    ourselves: str
    """Account that we use."""
    stated: str | None
    """Digest of the plan that the ticket stated when it was made: from its history, never from a text that can be edited since."""
    actor: str
    """Account that changed the state."""
    at: datetime
    was: str
    becomes: str
    choice: Choice | None
    """What the new state stands for by the desk's settings; None: no decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unproved:
    """Something that looks like a proof, and why it is none."""

    name: str
    why: str


Proof = SignatureProof | CommitProof | TicketProof | Unproved


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a plan is approved."""

    needed: int
    """How many different people it takes."""
    approvers: tuple[str, ...] = ()
    """Ids of the people whose approval counts; nobody where somebody declined."""
    digests: tuple[str, ...] = ()
    """For each of them the SHA-256 (hex) of what they gave, which counts once."""
    proofs: tuple[str, ...] = ()
    """For each of them the name of the proof."""
    declined: tuple[str, ...] = ()
    """Ids of the people who declined; one is enough to stop it."""
    decided_at: datetime | None = None
    """When there were enough approvals, or somebody declined (UTC); None: neither, or a proof that counts does not say it to the second."""
    refused: tuple[str, ...] = ()
    """Why each other proof does not count, and, where too few count, what is missing; one sentence each."""

    @property
    def holds(self) -> bool:
        """Return whether it is approved."""
        return not self.declined and 0 < self.needed <= len(self.approvers)
