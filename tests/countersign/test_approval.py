"""An approval holds only where the right person's own key signed exactly this, and both are still theirs today."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.approval import NAMESPACE, ApprovalError, Statement, digest, is_over, read_statement, refusal, sshsig
from countersign.approval.allowed_signers import Signer, Unusable, read
from countersign.register.records import Person
from tests.countersign.signed_by_hand import Key

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PEOPLE = {
    "maria": Person(id="maria", name="Maria Keller", email="maria@northwind.example", active=True),
    "dev": Person(id="dev", name="Dev Anand", active=True),
    "lee": Person(id="lee", name="Lee Moss", active=False),
}
KEY = Key()
PLAN = Statement(
    customer="northwind", subject="plan/acme", digest=digest({"step": "disable"}), approver="maria", issued=NOW - timedelta(hours=1),
    expires=NOW + timedelta(days=6), reason="The contract ended.",
)  # fmt: skip


def refused(
    statement: Statement = PLAN,
    signature: str | None = None,
    allowed: str | None = None,
    at: datetime = NOW,
    longest: timedelta | None = None,
) -> str | None:
    return refusal(
        statement,
        KEY.sign(statement.message()) if signature is None else signature,
        allowed_signers=KEY.line("maria") if allowed is None else allowed,
        people=PEOPLE,
        zone="Europe/London",
        at=at,
        **({} if longest is None else {"longest": longest}),
    )


KINDS = {
    "ed25519": Key(), "nistp256": Key("nistp256"), "nistp384": Key("nistp384"), "nistp521": Key("nistp521"), "rsa": Key("rsa"),
    "rsa-sha2-256": Key("rsa", sha=256), "sk-ed25519": Key(hardware=True), "sk-nistp256": Key("nistp256", hardware=True),
}  # fmt: skip


@pytest.mark.parametrize("key", KINDS.values(), ids=KINDS)
def test_every_kind_of_key_signs_for_its_person_and_for_nothing_else(key: Key) -> None:
    signature, allowed = key.sign(PLAN.message()), key.line("maria")
    assert refused(signature=signature, allowed=allowed) is None
    for other in (
        {"digest": digest({"step": "delete"})},
        {"reason": "another"},
        {"expires": NOW + timedelta(days=1)},
        {"customer": "acme"},
    ):
        assert "does not match what was to be signed" in str(refused(replace(PLAN, **other), signature, allowed))
    assert "another purpose" in str(refused(signature=key.sign(PLAN.message(), "git"), allowed=allowed))


WEAK = {
    "rsa-sha1": (Key("rsa", sha=1), "RSA is taken with SHA-2"),
    "rsa-1024": (Key("rsa", bits=1024), "RSA is taken with SHA-2"),
    "untouched": (Key(hardware=True, touched=False), "was not touched"),
    "sk-p384": (Key("nistp384", hardware=True), "of a kind that is not taken"),
}


@pytest.mark.parametrize("case", WEAK.values(), ids=WEAK)
def test_weak_signatures_are_refused(case: tuple[Key, str]) -> None:
    key, why = case
    assert why in str(refused(signature=key.sign(PLAN.message()), allowed=KEY.line("maria")))


LINES = {
    "by e-mail": (KEY.line("maria@northwind.example"), None),
    "one of two keys": (Key().line("maria") + KEY.line("maria"), None),
    "for us among others": (KEY.line("maria", 'namespaces="git,countersign"'), None),
    "in its time": (KEY.line("maria", 'valid-after="20261122",valid-before="202611221200Z"'), None),
    "windows line ends": ("# keys\r\n" + KEY.line("maria").replace("\n", "\r\n"), None),
    "no keys": ("# nobody yet\n", 'is not "maria"\'s'),
    "somebody else's": (KEY.line("dev") + Key().line("maria"), 'is not "maria"\'s'),
    "shared": (KEY.line("maria") + KEY.line("dev"), "more than one person"),
    "shared on one line": (KEY.line("maria,dev"), "more than one person"),
    "shared for git": (KEY.line("maria") + KEY.line("dev", 'namespaces="git"'), "more than one person"),
    "for git only": (KEY.line("maria", 'namespaces="git"'), 'is not "maria"\'s'),
    "anybody's": (KEY.line("*"), 'is not "maria"\'s'),
    "an authority": (KEY.line("maria", "cert-authority"), 'is not "maria"\'s'),
    "not any more": (KEY.line("maria", 'valid-before="202611221159Z"'), "not valid at this time"),
    "not yet": (KEY.line("maria", 'valid-after="20261123"'), "not valid at this time"),
    "hidden in a comment": (f"# keys\u2028{KEY.line('maria')}", 'is not "maria"\'s'),
}


@pytest.mark.parametrize("case", LINES.values(), ids=LINES)
def test_a_key_is_whose_allowed_signers_says_it_is(case: tuple[str, str | None]) -> None:
    allowed, why = case
    said = refused(allowed=allowed)
    assert said is None if why is None else why in str(said)


@pytest.mark.parametrize(
    "line",
    [
        "maria", "maria ssh-ed25519", f"maria ssh-ed25519 {base64.b64encode(b'no key').decode()}", "maria ssh-ed25519 !!!", "maria ssh-dss AAAA",
        KEY.line("maria", 'valid-before="tomorrow"'), KEY.line("maria", 'valid-before="20261399"'), KEY.line("maria", "no-touch-required"),
        KEY.line("maria", 'valid-before="20270101",valid-before="20280101"'), KEY.line('"maria'), KEY.line("maria,"), KEY.line("m*"),
        KEY.line("maria", "cert-authority"), Key("nistp256").line("maria").replace("nistp256", "nistp384"),
    ],
    ids=range(14),  # keys are made anew each time, and a test's name must not change
)  # fmt: skip
def test_a_line_that_cannot_be_used_is_told_with_its_place(line: str) -> None:
    (ours, theirs) = read(f"\n{line.rstrip()}\n{KEY.line('dev')}", "UTC", NAMESPACE)
    assert isinstance(ours, Unusable)
    assert (ours.line, bool(ours.message), bool(ours.fix), theirs) == (
        2,
        True,
        True,
        Signer(3, ("dev",), KEY.blob, ours=True, after=None, before=None),
    )


STATEMENTS = {
    "refused": ({"decision": "refuse"}, "not to approve"),
    "a leaver's, dated back": ({"approver": "lee", "issued": NOW - timedelta(days=3)}, "no longer active"),
    "a partner's": ({"approver": "acme/pavel"}, "nobody of the customer's"),
    "dated on": ({"issued": NOW + timedelta(seconds=1)}, "still to come"),
    "over": ({"issued": NOW - timedelta(days=6), "expires": NOW}, "it expired"),
    "for too long": ({"expires": NOW + timedelta(days=7)}, "longer than 7 days"),
    "dated on, by a day": ({"issued": date(2026, 11, 23)}, "still to come"),
    "over, by a day": ({"issued": date(2026, 11, 20), "expires": date(2026, 11, 21)}, "it expired on 2026-11-21"),
}


@pytest.mark.parametrize("case", STATEMENTS.values(), ids=STATEMENTS)
def test_what_is_signed_has_to_hold_today(case: tuple[dict[str, object], str]) -> None:
    changes, why = case
    statement = replace(PLAN, **changes)  # type: ignore[arg-type]
    everybody = "".join(KEY.line(name) for name in (statement.approver,))
    assert why in str(refused(statement, allowed=everybody))


def test_an_approval_may_be_by_days_and_needs_somebody_to_say_whose_key_is_whose() -> None:
    by_days = replace(PLAN, issued=date(2026, 11, 22), expires=date(2026, 11, 22))
    assert (refused(by_days), refused(by_days, at=datetime(2026, 11, 23, tzinfo=UTC))) == (None, "it expired on 2026-11-22")
    signature = KEY.sign(PLAN.message())
    said = refusal(PLAN, signature, allowed_signers=None, people=PEOPLE, zone="UTC", at=NOW)
    assert "there is no register/allowed_signers" in str(said)


def test_a_statement_reads_back_and_one_that_was_touched_does_not() -> None:
    for statement in (PLAN, replace(PLAN, issued=date(2026, 11, 22), reason=None)):
        assert statement == read_statement(statement.message())
    data = PLAN.message()
    for broken in (
        data + b"\n", data.replace(b"approve", b"approve ", 1), data.replace(b'"reason":"The contract ended."', b'"reason":0'), b"[]", b"{", b"\xff",
        data.replace(PLAN.digest.encode(), b"0" * 63), data.replace(b'"subject":[', b'"subject":[{"name":"x"},'), b"[" * 100_000,
    ):  # fmt: skip
        with pytest.raises(ApprovalError):
            read_statement(broken)


@pytest.mark.parametrize("key", KINDS.values(), ids=KINDS)
def test_no_signature_holds_once_a_bit_of_it_is_changed(key: Key) -> None:
    good = base64.b64decode("".join(key.sign(PLAN.message()).splitlines()[1:-1]))
    for at in range(len(good)):
        blob = bytearray(good)
        blob[at] ^= 1 << at % 8
        armoured = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"
        assert refused(signature=armoured, allowed=key.line("maria")) is not None, at


@given(
    st.text()
    | st.binary().map(
        lambda data: f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(b'SSHSIG' + data).decode()}\n-----END SSH SIGNATURE-----"
    )
)
def test_no_text_is_a_signature_by_chance_or_breaks_the_reader(text: str) -> None:
    assert refused(signature=text) is not None
    assert not is_over(text, b"")


@given(st.text(alphabet=st.sampled_from(' "=,-#*maria\tvlidbefornspcuth0AZ')) | st.text())
def test_no_line_breaks_the_reader_of_allowed_signers(text: str) -> None:
    assert all(isinstance(line, Signer | Unusable) for line in read(text, "Europe/London", NAMESPACE))


def test_a_signature_that_is_cut_or_has_more_behind_it_is_none() -> None:
    good = KEY.sign(b"x")
    blob = base64.b64decode("".join(good.splitlines()[1:-1]))
    for broken in (blob[:-1], blob + b"\0", blob[:6] + (2).to_bytes(4, "big") + blob[10:], b"SSHSIH" + blob[6:], blob[:20]):
        with pytest.raises(sshsig.SignatureRefusedError):
            sshsig.read(f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(broken).decode()}\n-----END SSH SIGNATURE-----\n")
