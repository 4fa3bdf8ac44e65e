"""A plan is approved only by its accountable people's own proofs, today; whatever else is given is told with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.approval import Statement, read_statement
from countersign.approval.proofs import CommitProof, Decision, PlanFacts, SignatureProof, TicketProof, Unproved
from countersign.cli import approve_plan
from countersign.cli.run import UsageError
from countersign.offboarding import folder, process
from countersign.offboarding.approvals import evidence, facts
from countersign.offboarding.approvals import given as on_file
from countersign.offboarding.plan import Noted, Plan
from countersign.offboarding.tables import plan_answers
from countersign.programme import load
from countersign.register.approvals import decide, may_approve, needed
from countersign.register.records import Answers, Control, Register
from countersign.state import State
from tests.countersign.plans_to_approve import HOUR, KEYS, estate, planned, programme_folder

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.approval.proofs import Proof

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
REGISTER = estate()
PLAN = PlanFacts(
    subject="plan/acme-1", digest="ab" * 32, made_at=NOW - 2 * HOUR, expires=NOW + 6 * DAY, requested_by="countersign", control="contract-ended",
    phase="disable", steps=12, needed=1,
)  # fmt: skip
SAID = Statement(
    customer="northwind", subject=PLAN.subject, digest=PLAN.digest, approver="maria", issued=NOW - HOUR, expires=NOW + DAY, reason="It ended.",
)  # fmt: skip


def signed(said: Statement = SAID, key: str | None = None, *, over: bytes | None = None, namespace: str = "countersign") -> SignatureProof:
    """A proof by its approver's own key, or by another."""
    message = said.message()
    signer = KEYS[said.approver if key is None else key]
    return SignatureProof(
        name=f"approvals/{said.approver}-1", statement=message, signature=signer.sign(message if over is None else over, namespace)
    )


def committed(said: Statement = SAID, namespace: str = "git") -> CommitProof:
    commit = b"tree 00\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nApprove\n"
    signature = KEYS[said.approver].sign(commit, namespace)
    return CommitProof(name="register/approvals/acme-1.json", statement=said.message(), signed=commit, signature=signature)


MOVED = TicketProof(
    name="ticket 7, entry 3", desk="rt", ticket="7", made_by="countersign", ourselves="countersign", stated=PLAN.digest, actor="mkeller",
    at=NOW - HOUR, was="open", becomes="resolved", choice="approve",
)  # fmt: skip


def judged(
    *proofs: Proof, plan: PlanFacts = PLAN, held: Register = REGISTER, at: datetime = NOW, used: frozenset[str] = frozenset()
) -> Decision:
    return decide(plan, proofs, held, at=at, used=used)


def why(decision: Decision) -> str:
    """The reason why the only proof does not count; it must not be approved."""
    assert (decision.holds, decision.approvers, decision.digests) == (False, (), ())
    return decision.refused[0]


@pytest.mark.parametrize("proof", [signed(), committed(), MOVED], ids=["signature", "commit", "ticket"])
def test_each_kind_of_proof_approves_once(proof: Proof) -> None:
    decision = judged(proof)
    assert (decision.approvers, decision.refused, decision.holds, decision.proofs) == (("maria",), (), True, (proof.name,))
    assert "used already" in why(judged(proof, used=frozenset(decision.digests)))


STATEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "another plan": ({"subject": "plan/acme-2"}, "for another plan"),
    "an exception's": ({"subject": "exception/EX-1", "digest": PLAN.digest}, "for another plan"),
    "a changed plan": ({"digest": "cd" * 32}, "another version of the plan"),
    "another customer": ({"customer": "acme"}, "for another customer"),
    "no decision": ({"decision": "perhaps"}, "is no decision"),
    "back-dated before the plan": ({"issued": NOW - 3 * HOUR}, "before the plan was made"),
    "by a day that began before": ({"issued": date(2026, 11, 22)}, "before the plan was made"),
    "post-dated": ({"issued": NOW + HOUR}, "still to come"),
    "expired": ({"expires": NOW}, "it expired on"),
    "for too long": ({"expires": NOW + 7 * DAY}, "longer than 7 days"),
    "for ever": ({"expires": date.max}, "longer than 7 days"),
    "a leaver": ({"approver": "lee"}, "no longer active"),
    "a partner's mailbox": ({"approver": "pavel"}, 'of partner "acme"'),
    "a partner's person": ({"approver": "acme/maria"}, 'of partner "acme"'),
    "not accountable": ({"approver": "ben"}, "is not accountable"),
    "nobody": ({"approver": "\x1b[2Jmaria\u202e"}, "is nobody of the customer's"),
}


@pytest.mark.parametrize("case", STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_that_does_not_fit_is_refused_whoever_signs_it(case: tuple[dict[str, Any], str]) -> None:
    changes, reason = case
    said = replace(SAID, **changes)
    for key in ("maria", said.approver if said.approver in KEYS else "maria"):
        told = why(judged(signed(said, key)))
        assert reason in told
        assert told.isprintable()


SIGNATURES = {
    "somebody else's key": (signed(key="dev"), "the key that signed it is not"),
    "a key nobody listed": (signed(key="nobody"), "the key that signed it is not"),
    "a key of two": (signed(key="shared"), "more than one person"),
    "another purpose": (signed(namespace="git"), "another purpose"),
    "over another statement": (signed(over=replace(SAID, reason=None).message()), "does not match"),
    "no signature": (replace(signed(), signature="maria"), "not the text of an SSH signature"),
    "no statement": (replace(signed(), statement=SAID.message() + b"\n"), "no approval statement"),
    "a commit by another purpose": (committed(namespace="countersign"), "another purpose"),
    "no proof": (Unproved(name="x", why="it is not signed"), "it is not signed"),
}


@pytest.mark.parametrize("case", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_that_is_not_the_approvers_own_is_refused(case: tuple[Proof, str]) -> None:
    proof, reason = case
    assert reason in why(judged(proof))


REGISTERS: dict[str, tuple[dict[str, Any], str]] = {
    "they left": (
        {"people": REGISTER.people | {"maria": REGISTER.people["maria"].model_copy(update={"active": False})}},
        "no longer active",
    ),
    "they are gone": ({"people": {"dev": REGISTER.people["dev"]}}, "nobody of the customer's"),
    "nobody's keys": ({"allowed_signers": None}, "there is no register/allowed_signers"),
    "no keys": ({"allowed_signers": ""}, "the key that signed it is not"),
    "the key ended": ({"allowed_signers": KEYS["maria"].line("maria", 'valid-before="202611221159Z"')}, "not valid at this time"),
    "the key is for git": ({"allowed_signers": KEYS["maria"].line("maria", 'namespaces="git"')}, "the key that signed it is not"),
    "nobody is accountable": ({"controls": {}}, "is not accountable"),
    "another is accountable": (
        {"controls": {"default": Control(control="default", answers=Answers(approves="dev"))}},
        "is not accountable",
    ),
}


@pytest.mark.parametrize("case", REGISTERS.values(), ids=REGISTERS)
def test_people_and_keys_count_as_the_register_has_them_today(case: tuple[dict[str, Any], str]) -> None:
    changes, reason = case
    assert reason in why(judged(signed(), held=estate(**changes)))


def test_commits_count_only_for_keys_that_may_sign_approvals_and_commits() -> None:
    for namespaces, expected in (("git,countersign", ("maria",)), ("git", ()), ("countersign", ())):
        held = estate(allowed_signers=KEYS["maria"].line("maria", f'namespaces="{namespaces}"'))
        assert judged(committed(), held=held).approvers == expected, namespaces


def test_the_default_control_stands_in_and_the_plans_own_end_ends_it() -> None:
    default = estate(controls={"default": Control(control="default", answers=Answers(approves="maria"))})
    assert judged(signed(), held=default).holds
    assert "the plan expired" in why(judged(signed(), plan=replace(PLAN, expires=NOW)))
    assert "before the plan was made" in why(judged(signed(), plan=replace(PLAN, made_at=NOW - HOUR / 2)))


@pytest.mark.parametrize("asked", ["maria", "acme/maria", "twin"])
def test_who_asked_does_not_approve_under_any_name(asked: str) -> None:
    plan = replace(PLAN, requested_by=asked)
    assert "asked for the plan" in why(judged(signed(), plan=plan))
    assert "asked for the plan" in why(judged(MOVED, plan=plan))
    assert may_approve(REGISTER, PLAN.control, asked) == ("dev",)


def test_two_approvers_are_two_people_with_two_keys() -> None:
    plan, dev = replace(PLAN, phase="delete"), signed(replace(SAID, approver="dev"))
    both = judged(signed(), dev, plan=plan)
    assert (both.holds, both.approvers, len(set(both.digests)), both.refused) == (True, ("maria", "dev"), 2, ())
    one = judged(signed(), plan=plan)
    assert (one.holds, one.approvers, one.refused) == (False, ("maria",), ("1 approval is missing; it could come from dev",))
    for again, reason in (
        (signed(replace(SAID, reason="again")), '"maria" approved it already'),
        (signed(replace(SAID, approver="twin")), '"maria" approved it already'),
        (committed(), '"maria" approved it already'),
        (MOVED, '"maria" approved it already'),
    ):
        twice = judged(signed(), again, plan=plan)
        assert (twice.holds, twice.approvers) == (False, ("maria",))
        assert reason in twice.refused[0]


def test_deletions_and_large_plans_take_two_and_none_takes_nobody() -> None:
    large = REGISTER.revocation.large
    plans = [replace(PLAN, needed=0), PLAN, replace(PLAN, steps=large), replace(PLAN, steps=large + 1), replace(PLAN, phase="delete")]
    assert [needed(plan, REGISTER) for plan in plans] == [1, 1, 1, 2, 2]
    assert not judged(plan=replace(PLAN, needed=0)).holds
    assert not any(decision.holds for decision in (Decision(needed=0), Decision(needed=1, approvers=("maria",), declined=("dev",))))
    assert judged(plan=PLAN).refused == ("1 approval is missing; it could come from dev or maria or twin",)
    nobody = judged(plan=PLAN, held=estate(controls={}))
    assert nobody.refused == (
        "1 approval is missing, and nobody could give one: name who is accountable for contract-ended in register/controls",
    )


def test_one_accountable_person_stops_a_plan_for_good() -> None:
    no = signed(replace(SAID, approver="dev", decision="decline", expires=NOW - HOUR / 2))
    stopped = judged(signed(), no)
    assert (stopped.holds, stopped.approvers, stopped.digests, stopped.declined) == (False, (), (), ("dev",))
    assert judged(no, plan=replace(PLAN, requested_by="dev")).declined == ("dev",)
    for idle in (
        signed(replace(SAID, approver="ben", decision="decline")),
        signed(replace(SAID, approver="dev", decision="decline"), "maria"),
    ):
        assert judged(signed(), idle).approvers == ("maria",)


TICKETS: dict[str, tuple[dict[str, Any], str]] = {
    "the local desk": ({"desk": "local", "actor": "dev"}, "the local desk proves nothing"),
    "made by another": ({"made_by": "pavel"}, "was made by"),
    "no digest": ({"stated": None}, "does not state this plan's digest"),
    "another plan": ({"stated": "cd" * 32}, "does not state this plan's digest"),
    "no decision": ({"choice": None, "becomes": "stalled"}, "stands for no decision"),
    "ourselves": ({"actor": "countersign"}, "our own account"),
    "a partner": ({"actor": "pavel"}, "is nobody's in customer.yaml"),
    "another tracker": ({"desk": "jira"}, "is nobody's in customer.yaml"),
    "not accountable": ({"actor": "ben"}, "is not accountable"),
    "too early": ({"at": NOW - 3 * HOUR}, "before the plan was made"),
    "to come": ({"at": NOW + HOUR}, "still to come"),
}


@pytest.mark.parametrize("case", TICKETS.values(), ids=TICKETS)
def test_a_ticket_that_does_not_fit_is_refused(case: tuple[dict[str, Any], str]) -> None:
    changes, reason = case
    assert reason in why(judged(replace(MOVED, **changes)))


def test_the_last_move_of_a_ticket_counts_and_two_people_share_no_account() -> None:
    opened = replace(MOVED, name="entry 4", actor="pavel", at=NOW - HOUR / 2, becomes="open", choice=None)
    for history in ((MOVED, opened), (opened, MOVED)):
        assert "ticket 7, entry 3: the ticket was moved again after that" in judged(*history).refused
    assert judged(MOVED, opened, replace(MOVED, name="entry 5", at=NOW - HOUR / 3)).proofs == ("entry 5",)
    assert judged(replace(MOVED, actor="danand", choice="decline"), replace(MOVED, at=NOW - HOUR / 3)).declined == ("dev",)
    old = judged(MOVED, plan=replace(PLAN, made_at=NOW - 9 * DAY), at=NOW + 7 * DAY - HOUR - timedelta(seconds=1) - DAY * 2)
    assert old.holds
    late = replace(PLAN, made_at=NOW - 9 * DAY, expires=NOW + 9 * DAY)
    assert "more than 7 days ago" in why(judged(replace(MOVED, at=NOW - 7 * DAY), plan=late))
    people = REGISTER.people | {"ben": REGISTER.people["ben"].model_copy(update={"accounts": {"rt": "mkeller"}, "active": False})}
    assert "more than one person's" in why(judged(MOVED, held=estate(people=people)))


FIELDS = ("customer", "subject", "digest", "approver", "reason", "decision", "issued", "expires")


@settings(max_examples=150)
@given(st.sampled_from(FIELDS), st.text(max_size=20), st.integers(-(10**6), 10**6))
def test_any_one_changed_field_turns_an_approval_into_a_refusal(field: str, text: str, seconds: int) -> None:
    proof = signed()
    before = getattr(SAID, field)
    after: Any = before + timedelta(seconds=seconds) if isinstance(before, datetime) else text
    if after == before:
        return
    forged = replace(SAID, **{field: after}).message()
    assert not judged(replace(proof, statement=forged)).holds


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from(("maria", "dev", "lee", "ben", "pavel", "twin")), st.sampled_from(sorted(KEYS))), max_size=5),
    st.sampled_from(("countersign", "maria", "dev", "acme/pavel")),
    st.sampled_from((1, 2, 3)),
)
def test_nothing_is_approved_without_the_accountable_peoples_own_keys(claims: list[tuple[str, str]], asked: str, takes: int) -> None:
    plan = replace(PLAN, requested_by=asked, needed=takes)
    decision = judged(*(signed(replace(SAID, approver=name), key) for name, key in claims), plan=plan)
    honest = {name for name, key in claims if name == key} & set(may_approve(REGISTER, plan.control, asked))
    humans = {"maria" if name == "twin" else name for name in honest}
    assert {"maria" if name == "twin" else name for name in decision.approvers} == humans
    assert (decision.holds, len(decision.approvers)) == (len(humans) >= takes, len(humans))


@given(st.binary(max_size=200) | st.text().map(str.encode), st.text(max_size=50))
def test_no_file_breaks_the_verifier(statement: bytes, signature: str) -> None:
    assert not judged(SignatureProof(name="x", statement=statement, signature=signature)).holds


@given(st.text(), st.text(), st.text(), st.text())
def test_no_ticket_breaks_the_verifier(actor: str, ticket: str, becomes: str, stated: str) -> None:
    assert not judged(replace(MOVED, name=ticket, actor=actor, ticket=ticket, stated=stated)).holds
    assert judged(replace(MOVED, ticket=ticket, becomes=becomes)).holds


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return programme_folder(tmp_path / "programme")


def sign_elsewhere(home: Path, plan: Plan, person: str, key: str, capsys: pytest.CaptureFixture[str], **options: Any) -> Path:
    """Do what --statement and ssh-keygen do together."""
    capsys.readouterr()
    assert approve_plan.approve(plan.id, person=person, statement=True, programme=home, **options) == 0
    said = home.parent / f"{person}.json"
    said.write_bytes(capsys.readouterr().out.encode())
    signature = said.with_name(f"{said.name}.sig")
    signature.write_text(KEYS[key].sign(said.read_bytes()))
    return signature


def test_a_plan_is_approved_from_the_command_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(home, phase="delete")
    assert approve_plan.approve(plan.id, programme=home) == 0
    looked = capsys.readouterr().out
    assert "Deactivate access key AKIA of user ci [2J" in looked
    assert "2 approvals are missing; it could come from business-owner or technical-owner" in looked
    first = sign_elsewhere(home, plan, "business-owner", "maria", capsys)
    assert approve_plan.approve(plan.id, person="business-owner", signature=first, programme=home) == 0
    assert "1 approval is missing; it could come from technical-owner" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"approved plan .* already"):
        approve_plan.approve(plan.id, person="business-owner", signature=first, programme=home)
    second = sign_elsewhere(home, plan, "technical-owner", "dev", capsys, reason="Checked.")
    assert approve_plan.approve(plan.id, person="technical-owner", signature=second, programme=home, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["approved"], told["approved_by"], told["written"]) == (True, ["business-owner", "technical-owner"], "technical-owner-1")
    programme = load(home)
    proofs = on_file(programme, plan)
    decision = decide(facts(plan), proofs, programme.register, at=datetime.now(UTC))
    assert (decision.holds, decision.proofs) == (True, ("approvals/business-owner-1", "approvals/technical-owner-1"))
    assert decision.decided_at == read_statement(second.with_suffix("").read_bytes()).issued
    assert answered(home) == ("given", decision.decided_at)
    assert list(evidence(proofs, decision)) == []
    inside = home / "offboarding" / plan.id / "approvals"
    assert {path.stat().st_mode & 0o777 for path in inside.iterdir()} == {0o600}


def answered(home: Path) -> tuple[str | None, datetime | None] | None:
    """Give what is on file of the one plan's answer, and when it was given; None: nobody has looked."""
    with State(load(home).state) as state, state.engine.connect() as db:
        row = db.execute(sa.select(plan_answers)).first()
    return None if row is None else (row.answer, row.answered_at)


def test_a_look_at_what_waits_finds_an_approval_however_it_came(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan, at = planned(home), datetime.now(UTC)
    assert (process.look_at_waiting(load(home), at)[1], answered(home)) == ((), (None, None))
    signature = sign_elsewhere(home, plan, "business-owner", "maria", capsys)
    said = signature.with_suffix("")
    folder.take(load(home), plan, signature.rename(said.with_suffix(".sig")).with_suffix(said.suffix))
    later = datetime.now(UTC)
    assert process.look_at_waiting(load(home), later)[1] == ()
    answer, when = answered(home) or (None, None)
    assert when is not None
    assert (answer, at <= when <= later) == ("given", True)
    process.look_at_waiting(load(home), later + HOUR)
    assert answered(home) == (answer, when)
    (home / "offboarding" / plan.id / "plan.json").write_text("{}")
    assert "cannot be read" in process.look_at_waiting(load(home), later)[1][0]


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "not accountable": ("duty-manager", "ben", {}, "is not accountable"),
    "nobody": ("pavel", "pavel", {}, "is nobody of the customer's"),
    "for too long": ("business-owner", "maria", {"expires": "2099-01-01"}, "longer than 7 days"),
    "no day": ("business-owner", "maria", {"expires": "soon"}, "is not a day"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_would_not_count_is_refused_before_it_is_signed(
    home: Path, case: tuple[str, str, dict[str, Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    person, key, options, reason = case
    plan = planned(home)
    with pytest.raises(UsageError, match=reason):
        sign_elsewhere(home, plan, person, key, capsys, **options)


def test_a_wrong_key_a_stop_and_a_decline_are_told_and_nothing_is_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(home)
    inside = home / "offboarding" / plan.id / "approvals"
    wrong = sign_elsewhere(home, plan, "business-owner", "dev", capsys)
    with pytest.raises(UsageError, match="the key that signed it is not"):
        approve_plan.approve(plan.id, person="business-owner", signature=wrong, programme=home)
    with pytest.raises(UsageError, match="signed in the name of"):
        approve_plan.approve(plan.id, person="technical-owner", signature=wrong, programme=home)
    for options, reason in (
        ({}, "neither a key nor a signature"),
        ({"key": wrong, "signature": wrong}, "only one of"),
        ({"signature": wrong, "decline": True}, "cannot be changed any more"),
    ):
        with pytest.raises(UsageError, match=reason):
            approve_plan.approve(plan.id, person="business-owner", programme=home, **options)
    with pytest.raises(UsageError, match="not said who decides"):
        approve_plan.approve(plan.id, decline=True, programme=home)
    assert list(inside.iterdir()) == []
    no = sign_elsewhere(home, plan, "technical-owner", "dev", capsys, decline=True)
    assert approve_plan.approve(plan.id, person="technical-owner", signature=no, programme=home) == 0
    assert answered(home) == ("declined", read_statement(no.with_suffix("").read_bytes()).issued)
    assert "is declined by technical-owner" in capsys.readouterr().out
    with pytest.raises(UsageError, match="was declined by technical-owner"):
        sign_elsewhere(home, plan, "business-owner", "maria", capsys)


def test_a_plan_that_must_not_be_applied_is_not_approved(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(home, Noted(level="stop", uid="x", name="x", said="the break-glass account is in it"))
    with pytest.raises(Exception, match="must not be applied"):
        sign_elsewhere(home, plan, "business-owner", "maria", capsys)


def test_the_register_has_accounts_at_trackers_and_a_folder_for_approvals(home: Path) -> None:
    customer = home / "register" / "customer.yaml"
    customer.write_text(customer.read_text().replace("name: Ada Example,", "name: Ada Example, accounts: {rt: ada},"))
    (home / "register" / "approvals").mkdir()
    (home / "register" / "approvals" / "acme-1.json").write_bytes(SAID.message())
    loaded = load(home).register
    assert loaded.people["business-owner"].accounts == {"rt": "ada"}
    assert loaded.files["approvals/acme-1.json"] == SAID.message()
