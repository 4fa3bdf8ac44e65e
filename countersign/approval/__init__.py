"""A decision that somebody signed with their SSH key, and whether it holds: for exceptions, and for plans that revoke."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Protocol
from zoneinfo import ZoneInfo

import rfc8785

from countersign.clock import days, instant, stamp
from countersign.document import shown
from countersign.errors import CountersignError
from countersign.evidence.verify import STATEMENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMESPACE = "countersign"
"""What signatures are made for (`ssh-keygen -n`), so that one made for git or mail approves nothing."""
PREDICATE_TYPE = "urn:countersign:approval:v1"
LONGEST = timedelta(days=7)
"""How long an approval of a plan may wait for its use."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ApprovalError(CountersignError):
    """A statement cannot be read or signed."""


class Person(Protocol):
    """Somebody of the customer's, as the register has them."""

    @property
    def id(self) -> str:
        """Name in the register."""

    @property
    def email(self) -> str | None:
        """Their mailbox; None: not known."""

    @property
    def active(self) -> bool:
        """False once they have left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What an approver signs: one in-toto Statement v1 over one subject."""

    customer: str
    """Id of the customer."""
    subject: str
    """What is decided on, such as `exception/EX-0012`."""
    digest: str
    """SHA-256 (hex) of its content."""
    approver: str
    """Id of a person of the customer's."""
    issued: date | datetime
    """An instant, or a day of the customer's calendar, which counts from its beginning."""
    expires: date | datetime
    """An instant, or a day of the customer's calendar, which counts to its end."""
    reason: str | None = None
    decision: str = "approve"

    def message(self) -> bytes:
        """Return what is signed: canonical JSON (RFC 8785)."""
        predicate = {
            "approver": self.approver,
            "customer": self.customer,
            "decision": self.decision,
            "expires": _said(self.expires),
            "issued": _said(self.issued),
            "reason": self.reason,
        }
        return rfc8785.dumps({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.subject, "digest": {"sha256": self.digest}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        })  # fmt: skip


def digest(content: Mapping[str, str | None]) -> str:
    """Return the SHA-256 (hex) of what a decision is on, as canonical JSON."""
    return hashlib.sha256(rfc8785.dumps(dict(content))).hexdigest()


def read_statement(data: bytes) -> Statement:
    """Read a statement back. Raises ApprovalError for anything but the exact bytes that `Statement.message` gives."""
    try:
        held: Any = json.loads(data)
        (subject,) = held["subject"]
        said = held["predicate"]
        statement = Statement(
            customer=said["customer"], subject=subject["name"], digest=subject["digest"]["sha256"], approver=said["approver"],
            issued=_when(said["issued"]), expires=_when(said["expires"]), reason=said["reason"], decision=said["decision"],
        )  # fmt: skip
        texts = (statement.customer, statement.subject, statement.digest, statement.approver, statement.decision)
        told = statement.reason is None or isinstance(statement.reason, str)
        sound = (
            told and all(isinstance(text, str) for text in texts) and _SHA256.fullmatch(statement.digest) and statement.message() == data
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise ApprovalError("this is no approval statement", fix="sign exactly what Countersign printed, with no line added or changed")
    return statement


def refusal(  # noqa: PLR0913 - what is said, who signed it, and what it is held against
    statement: Statement,
    signature: str,
    *,
    allowed_signers: str | None,
    people: Mapping[str, Person],
    zone: str,
    at: datetime,
    longest: timedelta | None = LONGEST,
) -> str | None:
    """Return None when the approval holds at an instant, else the reason why it does not.

    `signature` is the text of a `.sig` file, `allowed_signers` the content of the file of that name (None: there is none), `zone` the
    customer's time zone, `longest` the time from issue to expiry that is allowed (None: any). People and keys count as they are at
    `at`, never as they were when it was signed: else a leaver could sign for a day on which they still worked here.
    """
    refused = _person(statement, people) or out_of_time(statement, zone, at, longest)
    if refused is not None:
        return refused
    return unsigned(statement.message(), signature, people[statement.approver], allowed_signers=allowed_signers, zone=zone, at=at)


def out_of_time(statement: Statement, zone: str, at: datetime, longest: timedelta | None = LONGEST) -> str | None:
    """Say why a statement does not count at an instant by its own times; None: it does. The arguments are those of `refusal`."""
    begins, ends = begin(statement.issued, zone), end(statement.expires, zone)
    if begins > at:
        return f"it was issued for a time that is still to come, {_said(statement.issued)}"
    if ends <= at:
        return f"it expired on {_said(statement.expires)}"
    if longest is not None and ends - begins > longest:
        return f"it is to hold for longer than {days(longest)}"
    return None


def unsigned(  # noqa: PLR0913 - what was signed by whom, and what it is held against
    message: bytes,
    signature: str,
    person: Person,
    *,
    allowed_signers: str | None,
    zone: str,
    at: datetime,
    namespace: str = NAMESPACE,
) -> str | None:
    """Say why a signature over a message is not this person's at an instant; None: it is. The arguments are those of `refusal`.

    `namespace`: what the signature was made for. Where that is not ours (git's, of a commit), the key's line has to allow both: whoever
    lists a key for git alone has not said that its commits approve anything.
    """
    if allowed_signers is None:
        return "there is no register/allowed_signers, which says whose key is whose"
    from countersign.approval import sshsig  # not before they are needed: these two load `cryptography`
    from countersign.approval.allowed_signers import Signer, read

    names = {person.id, person.email} - {None}
    try:
        made = sshsig.read(signature)
        sshsig.check(made, message, namespace)
    except sshsig.SignatureRefusedError as error:
        return f"the signature does not hold: {error}"
    same = [line for line in read(allowed_signers, zone, NAMESPACE) if isinstance(line, Signer) and line.key == made.key]
    meant = {line.line for line in read(allowed_signers, zone, namespace) if isinstance(line, Signer) and line.ours}
    mine = [line for line in same if line.ours and names.intersection(line.principals)]
    if not mine:
        return f"the key that signed it is not {shown(person.id)}'s in register/allowed_signers"
    if any(set(line.principals) - names for line in same):
        return "the key that signed it stands for more than one person in register/allowed_signers"
    mine = [line for line in mine if line.line in meant]
    if not mine:
        return f"{shown(person.id)}'s key may not sign for {namespace} in register/allowed_signers"
    valid = any((line.after is None or line.after <= at) and (line.before is None or at <= line.before) for line in mine)
    return None if valid else f"the key that signed it, {shown(person.id)}'s, is not valid at this time"


def begin(value: date | datetime, zone: str) -> datetime:
    """Return the instant from which a statement's time counts; a day begins in the customer's time zone."""
    try:
        return value if isinstance(value, datetime) else datetime.combine(value, time(), ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        # East of Greenwich the first day of all begins before time does.
        return datetime.min.replace(tzinfo=UTC)


def end(value: date | datetime, zone: str) -> datetime:
    """Return the instant until which a statement's time counts; a day ends in the customer's time zone."""
    try:
        return value if isinstance(value, datetime) else datetime.combine(value + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
    except OverflowError:
        # The last day of all has no day after it.
        return datetime.max.replace(tzinfo=UTC)


def is_over(signature: str, message: bytes) -> bool:
    """Whether a signature is one over exactly this message, whoever made it."""
    from countersign.approval import sshsig  # not before it is needed: it loads `cryptography`

    try:
        sshsig.check(sshsig.read(signature), message, NAMESPACE)
    except sshsig.SignatureRefusedError:
        return False
    return True


def sign(message: bytes, key: Path) -> str:
    """Sign with `ssh-keygen`, which asks for the passphrase or the touch; `key` is a private key, or a public one held by an agent.

    Returns the text of the `.sig` file. Raises ApprovalError.
    """
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key.expanduser())]
    try:
        # Standard error stays the person's own: there it is said that a key waits to be touched, or why it cannot be used.
        done = subprocess.run(command, input=message, stdout=subprocess.PIPE, check=False)  # noqa: S603 - a fixed program, no shell
    except FileNotFoundError as error:
        fix = "install openssh-client, or sign where it is and give the file with --signature"
        raise ApprovalError("ssh-keygen, which signs, is not on this machine", fix=fix) from error
    if done.returncode != 0:
        raise ApprovalError(f"ssh-keygen could not sign with {key}", fix="see what it says above; name your private key with --key")
    return done.stdout.decode(errors="replace")


def _person(statement: Statement, people: Mapping[str, Person]) -> str | None:
    approver = people.get(statement.approver)
    if statement.decision != "approve":
        return "the decision is not to approve"
    if approver is None:
        return f"{shown(statement.approver)} is nobody of the customer's"
    return None if approver.active else f"{shown(statement.approver)} is no longer active"


def _said(value: date | datetime) -> str:
    return stamp(value) if isinstance(value, datetime) else value.isoformat()


def _when(text: str) -> date | datetime:
    return date.fromisoformat(text) if len(text) == len("2026-11-22") else instant(text)
