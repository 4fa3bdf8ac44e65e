"""Approvals that must not count: signed for the drill with keys made for it, and held against the plan by the verifier that decides."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from countersign.approval import NAMESPACE, Statement
from countersign.approval.proofs import SignatureProof
from countersign.approval.sshsig import MAGIC
from countersign.canary import PARTNER
from countersign.drill.scopes import DrillFailedError
from countersign.offboarding.approvals import facts
from countersign.register.approvals import decide

if TYPE_CHECKING:
    from datetime import datetime

    from countersign.offboarding.plan import Plan
    from countersign.register.records import Register

LATER = timedelta(minutes=2)
"""How long after the plan was made the approvals are held against it."""


class Stand:
    """An SSH key that lives as long as the drill, and stands in for somebody's."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()
        self._public = _wire(b"ssh-ed25519", self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def line(self, person: str) -> str:
        """Return the line of allowed_signers that makes it a person's."""
        return f'{person} namespaces="{NAMESPACE}" ssh-ed25519 {base64.b64encode(self._public).decode()}\n'

    def sign(self, message: bytes) -> str:
        """Sign as `ssh-keygen -Y sign` does (OpenSSH, PROTOCOL.sshsig); returns the text of the `.sig` file."""
        head = (NAMESPACE.encode(), b"", b"sha512")
        raw = self._key.sign(MAGIC + _wire(*head, hashlib.sha512(message).digest()))
        blob = MAGIC + (1).to_bytes(4, "big") + _wire(self._public, *head, _wire(b"ssh-ed25519", raw))
        text = base64.b64encode(blob).decode()
        lines = (text[at : at + 70] for at in range(0, len(text), 70))
        return "\n".join(("-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""))


@dataclass(frozen=True, slots=True)
class _Case:
    given: str
    approver: str
    issued: datetime
    expires: datetime
    line: str | None
    """Whose key signs it, as allowed_signers would say; None: the register's own file, which does not know the key."""
    says: str
    """Words that the refusal has."""


def refusals(register: Register, plan: Plan) -> tuple[tuple[str, str], ...]:
    """Hold approvals that must not count against a plan; returns what each was, and why it was refused.

    A proper one by the same means is held against it first, so that it is shown that only what is wrong about the others is refused.
    Nothing of it is written anywhere, and the keys are gone with the process. Raises DrillFailedError where one of them would count.
    """
    stand, owner = Stand(), plan.approvers[0]
    robot = f"{PARTNER}/robot"
    mine = _Case("a proper one", owner, plan.made_at, plan.expires, stand.line(owner), "")
    holds, why = _decided(register, plan, mine, stand)
    if not holds:
        raise DrillFailedError(f"a proper approval does not count: {why}", fix="look who is accountable for drill-overdue in the register")
    cases = (
        _Case("signed by the partner", robot, plan.made_at, plan.expires, stand.line(robot), "partner"),
        _Case(f"signed for {owner}, and expired", owner, plan.made_at, plan.made_at + LATER / 2, stand.line(owner), "expired"),
        _Case(f"signed for {owner} by somebody else's key", owner, plan.made_at, plan.expires, None, ""),
    )
    found = []
    for case in cases:
        holds, why = _decided(register, plan, case, stand)
        if holds or case.says not in why:
            said = f"an approval {case.given} is not refused as it has to be: {why or 'it counts'}"
            raise DrillFailedError(said, fix="carry out no plan until it is")
        found.append((case.given, why))
    return tuple(found)


def _decided(register: Register, plan: Plan, case: _Case, stand: Stand) -> tuple[bool, str]:
    """Return whether a case's approval counts, as of a little after the plan was made, and what is said of it."""
    said = Statement(
        customer=plan.customer, subject=plan.subject(), digest=plan.digest(), approver=case.approver, issued=case.issued,
        expires=case.expires, reason="a drill",
    ).message()  # fmt: skip
    proof = SignatureProof(name=case.given, statement=said, signature=stand.sign(said))
    known = register if case.line is None else register.model_copy(update={"allowed_signers": case.line})
    decision = decide(facts(plan), (proof,), known, at=plan.made_at + LATER)
    why = next((each.removeprefix(f"{case.given}: ") for each in decision.refused if each.startswith(case.given)), "")
    return bool(decision.approvers), why


def _wire(*parts: bytes) -> bytes:
    """Write strings as SSH does, each behind its length (RFC 4251)."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
