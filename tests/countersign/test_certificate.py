"""Nothing is certified as ended that nobody could see to have ended, and nobody can make a certificate say so afterwards."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign import cli, scaffold
from countersign.evidence import signer, statement, verify
from countersign.offboarding.certificate import HTML, Certified, certificate, certify
from countersign.offboarding.journal import Debt, Step
from countersign.offboarding.plan import Asked, Plan, Unread
from countersign.offboarding.record import Approved, CertificateError, Entry, Record
from countersign.offboarding.verifying import Verified, VerifyingError, judge
from countersign.offboarding.verifying import verify as look_again
from countersign.programme import load
from countersign.report import certificate as page
from countersign.results import silent
from countersign.revocation import CREDENTIAL, GRANT, Change, Holding, Left, Residual, Tried
from tests.countersign.auditors_bundle import problems, put, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from countersign.programme import Programme

MADE = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
APPROVED, BEGUN = MADE + timedelta(hours=2), MADE + timedelta(hours=2, minutes=1)
LATER = MADE + timedelta(hours=5)
HOSTILE = "<script>alert(1)</script>\u202egnp.exe =1+1"
NAMES = ("AKIA1", "AKIA2")
PLACE = ("aws", "aws", "111111111111")
"""Source, provider and scope of everything here."""


def holding(name: str, what: str = "credential", **more: Any) -> Holding:
    given_: dict[str, Any] = {
        "uid": f"aws:111111111111:{what}/{name}", "what": what, "kind": "access-key", "provider": "aws", "source": "aws",
        "scope": "111111111111", "identity_uid": f"aws:111111111111:user/{name}", "name": name, "whole": True,
        "how": "registered in workloads/backup.yaml", "record": {"size": 1.5},
    }  # fmt: skip
    return Holding(**(given_ | more))


def change(held: Holding, **more: Any) -> Change:
    given_: dict[str, Any] = {
        "action": "deactivate-access-key", "phase": "disable", "provider": held.provider, "source": held.source, "scope": held.scope,
        "target": held.uid, "name": held.name, "says": f"Set access key {held.name} to Inactive", "parameters": {"id": held.uid},
        "before": {"status": "Active", "weight": 0.5}, "after": {"status": "Inactive", "weight": 0.5}, "reversible": True,
        "order": CREDENTIAL, "takes": (held.uid,), "writes": ("iam:UpdateAccessKey",), "looks": ("iam:ListAccessKeys",),
    }  # fmt: skip
    return Change(**(given_ | more))


def plan_of(*held: Holding, steps: tuple[Change, ...] | None = None, **more: Any) -> Plan:
    asked = more.pop("asked", Asked(partner="acme", requested_by="technical-owner", reason="the contract ended"))
    given_: dict[str, Any] = {
        "id": "acme-20261102t090000z-aaaaaa", "customer": "northwind", "asked": asked, "made_at": MADE, "register": "sha256:r",
        "steps": tuple(change(each) for each in held) if steps is None else steps, "left": (), "undecided": (), "unread": (),
        "holdings": held, "noted": (), "approvers": ("business-owner", "technical-owner"), "needed": 1,
    }  # fmt: skip
    return Plan(**(given_ | more))


def again(plan: Plan, **found: Any) -> Plan:
    """The plan asked again when everything is gone and every scope was read, but for what is `found`."""
    empty: dict[str, Any] = {"steps": (), "holdings": (), "left": (), "undecided": (), "unread": (), "context": {"read": [PLACE[1:]]}}
    return replace(plan, **(empty | found))


def judged(plan: Plan, fresh: Plan, *attempts: Any, sources: tuple[str, ...] = ("aws",)) -> Verified:
    return judge(plan, fresh, attempts, sources=sources, at=LATER)


def verdicts(verified: Verified) -> dict[str, str]:
    return {row.holding.name: row.verdict for row in verified.rows}


def made_steps(plan: Plan, **more: Any) -> dict[str, Step]:
    found = {}
    for number, each in enumerate(plan.steps):
        at = BEGUN + timedelta(seconds=10 * number)
        told: dict[str, Any] = {
            "step": each.id, "state": "made", "attempts": 1, "pre_image": each.before, "seen": each.after, "intended_at": at,
            "written_at": at + timedelta(seconds=1), "verified_at": at + timedelta(seconds=2), "reader": "reader", "writer": "revoker",
            "why": None, "undone_by": None,
        }  # fmt: skip
        found[each.id] = Step(**(told | more))
    return found


def record_of(plan: Plan, **more: Any) -> Record:
    one = Approved(approver="business-owner", kind="ssh", digest="a" * 64, key="SHA256:k", issued="2026-11-02T11:00:00Z", reason=None)
    entries = (Entry(kind="offboard", run="offboard-1", sequence=3, statement=f"sha256:{'b' * 64}"),)
    given_: dict[str, Any] = {
        "steps": made_steps(plan), "approvals": (one,), "approved_at": APPROVED, "begun_at": BEGUN,
        "entries": entries,
    }  # fmt: skip
    told = given_ | more
    return Record(**({"steps_file": steps_file(plan, told["steps"])} | told))


def steps_file(plan: Plan, steps: dict[str, Step]) -> bytes:
    """steps.json as the run that applied the plan seals it, as far as a certificate is held against it."""
    times = ("intended_at", "written_at", "verified_at")
    rows = [asdict(step) | {"id": step.step} | {name: getattr(step, name) and statement_time(getattr(step, name)) for name in times}
            for step in steps.values()]  # fmt: skip
    return rfc8785.dumps({"digest": plan.digest(), "steps": rows, "attempts": []})


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    folder = tmp_path_factory.mktemp("home") / "northwind"
    scaffold.init(folder, customer="northwind")
    quoted = json.dumps("".join(c if c.isprintable() else " " for c in HOSTILE))
    text = f"partner: {{id: acme, name: {quoted}}}\ncontract: {{reference: C-1, starts: 2025-01-01, ends: 2026-10-31}}\n"
    (folder / "register" / "partners" / "acme.yaml").write_text(text, encoding="utf-8")
    found = load(folder)
    key = Path(found.evidence.signer.removeprefix("file:"))
    if not key.exists():
        signer.keygen(key)
    return found


def said_of(programme: Programme, plan: Plan, verified: Verified, **more: Any) -> dict[str, Any]:
    return dict(certificate(programme, plan, record_of(plan, **more), verified)["predicate"])


# --- What is left


def test_a_holding_has_ended_only_by_a_whole_reading_that_leaves_nothing_to_do() -> None:
    gone, there, stuck, doubtful, unread = (holding(name) for name in ("gone", "there", "stuck", "doubtful", "unread"))
    dark = replace(unread, scope="222222222222")
    plan = plan_of(gone, there, stuck, doubtful, dark)
    fresh = again(
        plan, steps=(change(there),), holdings=(there, stuck, doubtful), left=(Left(stuck.uid, "stuck", "only its owner can", "ask"),),
        undecided=(Left(doubtful.identity_uid, "doubtful", "two claim it", "register it"),),
        unread=(Unread(source="aws", provider="aws", scope="222222222222", why="access denied"),),
    )  # fmt: skip
    verified = judged(plan, fresh)
    expected = {"gone": "ended", "there": "still there", "stuck": "no way", "doubtful": "undecided", "unread": "unknown"}
    assert expected == verdicts(verified)
    assert {"222222222222": "access denied", "111111111111": None} == {scope.scope: scope.why for scope in verified.scopes}
    assert not verified.ended
    assert judged(plan_of(gone), again(plan_of(gone))).ended


def test_what_nobody_speaks_of_any_more_is_unknown_and_not_gone() -> None:
    plan = plan_of(holding("AKIA1"))
    silent_one = judged(plan, again(plan, context={}))
    assert ("unknown", "aws 111111111111 was not read: nothing says that it was read this time") == (
        silent_one.rows[0].verdict, silent_one.rows[0].why,
    )  # fmt: skip
    unconfigured = judged(plan, again(plan), sources=())
    assert ("unknown", "the source aws is not configured any more") == (unconfigured.rows[0].verdict, unconfigured.scopes[0].why)
    seen = judged(plan, again(plan, context={}, holdings=plan.holdings))
    assert {"AKIA1": "ended"} == verdicts(seen)  # its scope was entered to look, and nothing was left to do


def test_what_is_left_counts_wherever_it_belongs() -> None:
    plan = plan_of(holding("AKIA1"), asked=Asked(partner="acme", without=(("aws:1:user/kept", "still runs the payroll"),)))
    new, stray = holding("new"), change(holding("stray"), order=GRANT)
    fresh = again(plan, steps=(change(new), stray), holdings=(new,), left=(Left("aws:1:user/x", "x", "cannot be", "by hand"),))
    verified = judged(plan, fresh)
    assert [("AKIA1", False, "ended"), ("new", True, "still there")] == [
        (row.holding.name, row.is_new, row.verdict) for row in verified.rows
    ]
    assert ["aws:1:user/kept", "aws:1:user/x", stray.target] == [left.uid for left in verified.besides]


def test_only_the_providers_own_refusal_is_a_negative_proof() -> None:
    plan = plan_of(*(holding(name) for name in ("refused", "taken", "cured", "silent", "nobody")), holding("who", "identity"))
    uid = {held.name: held.uid for held in plan.holdings}
    verified = judged(
        plan, again(plan), (uid["refused"], Tried(True, "sts:GetCallerIdentity", "InvalidClientTokenId"), LATER),  # noqa: FBT003 - the provider's word
        (uid["taken"], Tried(False, "sts:GetCallerIdentity", "arn"), LATER), (uid["taken"], Tried(None, "c", "?"), LATER + timedelta(1)),  # noqa: FBT003
        (uid["cured"], Tried(True, "c", "no"), LATER + timedelta(1)), (uid["cured"], Tried(False, "c", "arn"), LATER),  # noqa: FBT003
        (uid["silent"], Tried(None, "sts:GetCallerIdentity", "timed out"), LATER),
    )  # fmt: skip
    results = {row.holding.name: row.proof and (row.proof.result, row.verdict) for row in verified.rows}
    expected = {
        "refused": ("refused", "ended"), "taken": ("accepted", "still there"), "cured": ("refused", "ended"), "silent": ("not told", "ended"),
        "nobody": ("not tried", "ended"), "who": None,
    }  # fmt: skip
    assert expected == results
    assert "nobody here holds the secret" == next(row.proof.said for row in verified.rows if row.holding.name == "nobody" and row.proof)


def answering(other: Plan) -> Callable[[Plan], Plan]:
    return lambda _plan: again(other)


def test_a_second_reading_that_answers_another_question_is_refused(programme: Programme) -> None:
    plan = plan_of(holding("AKIA1"))
    for other in (
        replace(plan, customer="other"),
        replace(plan, asked=Asked(partner="globex")),
        replace(plan, asked=Asked(partner="acme", phase="delete")),
    ):
        with pytest.raises(VerifyingError):
            look_again(programme, plan, answering(other), clock=lambda: LATER, tell=silent)
    verified = look_again(programme, plan, again, clock=lambda: LATER, tell=silent)
    assert ({"AKIA1": "unknown"}, LATER) == (verdicts(verified), verified.at)  # the programme has no source called aws


VERDICTS = st.sampled_from(["gone", "todo", "left", "undecided", "unread", "unsaid", "excluded", "accepted"])


@settings(max_examples=30, deadline=None)
@given(st.lists(VERDICTS, min_size=1, max_size=5))
def test_it_is_complete_exactly_where_everything_is_gone(programme: Programme, fates: list[str]) -> None:
    held = [holding(f"k{n}", scope=f"{n}", uid=f"aws:{n}:key/k", identity_uid=f"aws:{n}:user/u") for n, _ in enumerate(fates)]
    by_fate: dict[str, list[Holding]] = {}
    for each, fate in zip(held, fates, strict=True):
        by_fate.setdefault(fate, []).append(each)
    of = by_fate.get
    without = tuple((each.uid, "kept") for each in of("excluded", []))
    plan = plan_of(*held, asked=Asked(partner="acme", without=without))
    fresh = again(
        plan, steps=tuple(map(change, of("todo", []))), left=tuple(Left(each.uid, each.name, "no", "?") for each in of("left", [])),
        undecided=tuple(Left(each.uid, each.name, "no", "?") for each in of("undecided", [])),
        unread=tuple(Unread(source="aws", provider="aws", scope=each.scope, why="denied") for each in of("unread", [])),
        context={"read": [["aws", each.scope] for each in held if each not in of("unsaid", [])]},
    )  # fmt: skip
    attempts = [(each.uid, Tried(False, "c", "in"), LATER) for each in of("accepted", [])]  # noqa: FBT003 - the provider's word
    said = said_of(programme, plan, judged(plan, fresh, *attempts))
    assert ("complete" if set(fates) == {"gone"} else "incomplete") == said["state"]
    assert {each.uid for each, fate in zip(held, fates, strict=True) if fate != "gone"} == {
        row["id"] for row in said["residual"] if row["about"] == "holding"
    }


# --- What it says


def test_a_certificate_says_who_decided_what_was_done_when_and_what_is_left(programme: Programme) -> None:
    first, second = (holding(name) for name in NAMES)
    lasting = Residual("tokens issued before live until they expire", 3600)
    plan = plan_of(first, second, steps=(change(first), change(second, residual=lasting)), context={"triggered_at": "2026-11-01T00:00:00Z"})
    said = said_of(programme, plan, judged(plan, again(plan)), triggered_at=MADE - timedelta(hours=9))
    ended = BEGUN + timedelta(seconds=12)
    assert ("complete", []) == (said["state"], said["residual"])
    assert {"fromApproval": 72, "fromTrigger": 11 * 3600 + 72} == said["secondsToRevoke"]
    assert [{"step": plan.steps[1].id, "what": lasting.what, "seconds": 3600, "until": statement_time(ended + timedelta(hours=1))}] == said[
        "sessions"
    ]
    watched = programme.register.revocation.watch
    assert statement_time(ended + watched) == said["steps"][1]["watchedUntil"]
    assert ({"status": "Active", "weight": "0.5"}, "made") == (said["steps"][0]["before"], said["steps"][0]["outcome"])
    assert ("C-1", "2026-10-31") == (said["partner"]["contract"], said["partner"]["ends"])

    soon = replace(judged(plan, again(plan)), at=ended + timedelta(minutes=1))
    (left,) = said_of(programme, plan, soon)["residual"]
    assert ("session", statement_time(ended + timedelta(hours=1)), []) == (left["about"], left["until"], left["who"])


def statement_time(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("asked", "record", "about"),
    [
        (Asked(partner="acme", emergency=True), {}, ["plan"]),
        (
            Asked(partner="acme"),
            {
                "approvals": (), "approved_at": None,
                "broken_glass": Debt("p", "acme", "technical-owner", "keys on a forum", BEGUN, BEGUN + timedelta(hours=24), None, ()),
            },
            ["approval"],
        ),
    ],
)  # fmt: skip
def test_an_emergency_and_an_approval_that_is_owed_are_never_complete(
    programme: Programme, asked: Asked, record: dict[str, Any], about: list[str]
) -> None:
    plan = plan_of(holding("AKIA1"), asked=asked)
    said = said_of(programme, plan, judged(plan, again(plan)), **record)
    assert ("incomplete", about) == (said["state"], [row["about"] for row in said["residual"]])


def test_nothing_is_certified_that_does_not_agree(programme: Programme) -> None:
    plan = plan_of(holding("AKIA1"))
    verified = judged(plan, again(plan))
    for wrong in (
        {"approvals": ()}, {"steps_file": None}, {"steps_file": steps_file(plan, {})}, {"steps_file": b"[]"}, {"begun_at": APPROVED - timedelta(minutes=1)}, {"approved_at": MADE - timedelta(days=1)},
        {"steps": made_steps(plan, seen={"status": "Active"})},
    ):  # fmt: skip
        with pytest.raises(CertificateError):
            said_of(programme, plan, verified, **wrong)
    with pytest.raises(CertificateError, match="gives access back"):
        said_of(programme, replace(plan, asked=Asked(partner="acme", phase="restore")), verified)
    early = (plan.holdings[0].uid, Tried(True, "c", "no"), BEGUN)  # noqa: FBT003 - the provider's word
    (row,) = said_of(programme, plan, judged(plan, again(plan), early))["holdings"]
    assert ("not told", "tried before it had ended, so it tells nothing: no") == (row["proof"]["result"], row["proof"]["said"])


def test_steps_that_were_not_made_are_told_and_the_second_reading_decides(programme: Programme) -> None:
    first, second = (holding(name) for name in NAMES)
    plan = plan_of(first, second)
    steps = made_steps(plan)
    steps[plan.steps[1].id] = replace(steps[plan.steps[1].id], state="failed", seen=plan.steps[1].before, verified_at=None, why="denied")
    said = said_of(programme, plan, judged(plan, again(plan, steps=(change(second),), holdings=(first, second))), steps=steps)
    assert (["made", "failed"], "incomplete", None) == (
        [step["outcome"] for step in said["steps"]], said["state"], said["secondsToRevoke"]["fromApproval"],
    )  # fmt: skip
    assert ["credential AKIA2: still there"] == [row["what"] for row in said["residual"]]


# --- The page


def test_the_page_says_what_the_certificate_says_and_lets_no_name_act(programme: Programme) -> None:
    hostile = holding(HOSTILE, how=HOSTILE)
    plan = plan_of(hostile, steps=(change(hostile, says=HOSTILE),))
    for fresh, state in ((again(plan), "Complete"), (again(plan, steps=plan.steps, holdings=(hostile,)), "Incomplete")):
        made = certificate(programme, plan, record_of(plan), judged(plan, fresh))
        html = page.html(made, "sha256:d")
        assert f"<strong>{state}:</strong>" in html
        assert (0, 0, 0) == (html.count("<script"), html.count("\u202e"), len(re.findall(r"(?:src|href)=.https?:", html)))
        assert (state == "Incomplete") is ('id="left"' in html)
        if state == "Incomplete":
            assert html.index('id="left"') < html.index('id="what"')
    assert html == page.html(json.loads(rfc8785.dumps(made)), "sha256:d")


def test_the_page_of_many_holdings_stays_small(programme: Programme) -> None:
    plan = plan_of(*(holding(f"k{number}") for number in range(400)))
    made = certificate(programme, plan, record_of(plan), judged(plan, again(plan)))
    html = page.html(made, "sha256:d")
    assert html.count("200 more are in the certificate itself.") == 2
    assert len(html) < 500_000


# --- Sealed, and checked by whoever trusts nobody


@pytest.fixture(scope="module")
def sealed(programme: Programme) -> Certified:
    plan = plan_of(*(holding(name) for name in NAMES))
    return certify(programme, plan, record_of(plan), judged(plan, again(plan)), clock=lambda: LATER + timedelta(minutes=1))


@pytest.fixture(scope="module")
def public(programme: Programme) -> Path:
    return signer.public_path(Path(programme.evidence.signer.removeprefix("file:")))


@pytest.fixture
def alone(sealed: Certified, tmp_path: Path) -> Path:
    for name in (verify.CERTIFICATE, verify.PLAN, verify.STEPS):
        shutil.copy(sealed.path / name, tmp_path / name)
    return tmp_path / verify.CERTIFICATE


def test_it_is_sealed_with_what_it_is_about_and_holds_in_the_ledger_and_alone(sealed: Certified, public: Path, alone: Path) -> None:
    said = statement.read(sealed.path / verify.STATEMENT)
    assert {verify.CERTIFICATE, HTML, verify.PLAN, verify.STEPS} == set(said.subjects)
    assert ("offboard", "acme", "complete", sealed.digest) == (
        said.kind, said.predicate["partner"], said.predicate["state"], said.predicate["certificate"],
    )  # fmt: skip
    for path in (sealed.path.parent, sealed.path, alone):
        assert [] == problems(path, public)
    (alone.parent / verify.STEPS).unlink()
    report = verify.verify(alone, (public,))
    assert ("files", "info", "steps.json is not beside the certificate, so it was not compared") in [
        (check.name, check.state, check.detail) for check in report.checks
    ]
    assert report.ok


def test_verify_py_alone_says_what_the_command_says(alone: Path, public: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(verify.__file__, alone.parent / "verify.py")
    arguments = [str(alone), "--key", str(public)]
    command = [sys.executable, "-I", str(alone.parent / "verify.py"), *arguments]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    assert "in agreement with itself: complete for acme" in done.stdout
    assert done.returncode == cli.answer(["verify", *arguments])
    assert done.stdout == capsys.readouterr().out


def test_any_changed_byte_is_refused(alone: Path, public: Path) -> None:
    raw = alone.read_bytes()
    for place in range(0, len(raw), 307):
        put(alone, raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert [] != problems(alone, public), place
    put(alone, raw)
    for name in (verify.PLAN, verify.STEPS):
        kept = (alone.parent / name).read_bytes()
        put(alone.parent / name, kept + b" ")
        assert [(name, "not the file that the certificate names")] == problems(alone, public)
        put(alone.parent / name, kept)
    assert "none of the keys given" in problems(alone, other_key(alone.parent))[0][1]
    asked: Any = {"expect_head": f"sha256:{'a' * 64}"}
    assert [] != problems(alone, public, **asked)


def other_key(folder: Path) -> Path:
    return signer.keygen(folder / "other.pem")


LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "incomplete": lambda said: said.update(state="incomplete"),
    "a row that has not ended": lambda said: said["holdings"][0].update(verdict="unknown", why="not read"),
    "a row with something to do": lambda said: said["holdings"][0]["needed"].append("Delete it"),
    "a secret that is still taken": lambda said: said["holdings"][0]["proof"].update(result="accepted", at=said["times"]["verified"]),
    "a refusal without a time": lambda said: said["holdings"][0]["proof"].update(result="refused"),
    "a refusal from before": lambda said: said["holdings"][0]["proof"].update(result="refused", at=said["plan"]["madeAt"]),
    "a scope not read": lambda said: said["scopes"][0].update(read=False, why="denied"),
    "a scope taken away": lambda said: said["scopes"].clear(),
    "a holding taken away": lambda said: said["holdings"].pop(),
    "a holding added": lambda said: said["holdings"].append(said["holdings"][0] | {"uid": "aws:x"}),
    "a holding renamed": lambda said: said["holdings"][0].update(how="it was yours"),
    "a step taken away": lambda said: said["steps"].pop(),
    "a step not made": lambda said: said["steps"][0].update(outcome="not made"),
    "a step seen otherwise": lambda said: said["steps"][0].update(seen={"status": "Active"}),
    "another state before": lambda said: said["steps"][0].update(before={"status": "Inactive"}),
    "another writer": lambda said: said["steps"][0].update(wroteAs="somebody else"),
    "written earlier": lambda said: said["steps"][1].update(intendedAt=said["times"]["begun"]),
    "a faster end": lambda said: said["times"].update(ended=said["times"]["begun"]),
    "a shorter time to revoke": lambda said: said["secondsToRevoke"].update(fromApproval=1),
    "approved after it was begun": lambda said: said["times"].update(approved=said["times"]["verified"]),
    "verified before it was done": lambda said: said["times"].update(verified=said["times"]["begun"]),
    "nobody approved": lambda said: said["approvals"].clear(),
    "approved by a stranger": lambda said: said["approvals"][0].update(approver="pavel"),
    "approved by who asked": lambda said: said["approvals"][0].update(approver="technical-owner"),
    "approved twice by one": lambda said: said["approvals"].append(said["approvals"][0]),
    "signed with no key": lambda said: said["approvals"][0].update(key=None),
    "another partner": lambda said: said["partner"].update(id="globex"),
    "another plan": lambda said: said["plan"].update(digest="c" * 64),
    "more approvers": lambda said: said["plan"]["approvers"].append("pavel"),
    "nobody asked": lambda said: said["plan"].update(requestedBy="pavel"),
    "an exclusion hidden": lambda said: said["plan"]["without"].append({"uid": "aws:y", "why": "kept"}),
    "the watch forgotten": lambda said: said["steps"][0].update(watchedUntil=None),
    "a session": lambda said: said["sessions"].append({"step": said["steps"][0]["id"], "what": "t", "seconds": None, "until": None}),
    "a session of no step": lambda said: said["sessions"].append({"step": "x", "what": "t", "seconds": 1, "until": None}),
    "something besides": lambda said: said["besides"].append({"uid": "u", "name": "n", "why": "w", "advice": "a"}),
    "an emergency": lambda said: said["plan"].update(emergency=True),
    "broken glass": lambda said: said.update(
        brokenGlass={"by": "x", "reason": "y", "owedUntil": said["times"]["verified"], "settled": False}
    ),
    "a field more": lambda said: said.update(note="all is well"),
    "a field less": lambda said: said.pop("register"),
    "a number for a text": lambda said: said["partner"].update(name=1),
    "a time that is none": lambda said: said["times"].update(verified="yesterday"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_claim_that_its_rows_do_not_bear_out_is_refused_even_when_signed(
    alone: Path, programme: Programme, public: Path, lie: str
) -> None:
    body = json.loads(verify.read_envelope(alone).payload)
    LIES[lie](body["predicate"])
    put(alone, sign(rfc8785.dumps(body), Path(programme.evidence.signer.removeprefix("file:"))))
    found = problems(alone, public)
    assert 1 <= len(found)
    assert all(file in {"", verify.PLAN} for file, _ in found)


def test_in_a_run_it_must_be_what_the_run_says(sealed: Certified, programme: Programme, public: Path, tmp_path: Path) -> None:
    key = Path(programme.evidence.signer.removeprefix("file:"))
    run = tmp_path / sealed.path.name
    shutil.copytree(sealed.path, run)
    body = json.loads(verify.read_envelope(run / verify.STATEMENT).payload)
    for name, value in (("state", "incomplete"), ("partner", "globex"), ("certificate", f"sha256:{'a' * 64}"), ("plan", "x")):
        changed = body | {"predicate": body["predicate"] | {name: value}}
        put(run / verify.STATEMENT, sign(rfc8785.dumps(changed), key))
        assert (verify.CERTIFICATE, f"the run that it lies in says otherwise of its {name}") in problems(run, public)


def test_a_steps_file_is_named_by_its_digest(sealed: Certified) -> None:
    body = json.loads(verify.read_envelope(sealed.path / verify.CERTIFICATE).payload)
    digests = {each["name"]: each["digest"]["sha256"] for each in body["subject"]}
    assert {name: hashlib.sha256((sealed.path / name).read_bytes()).hexdigest() for name in (verify.PLAN, verify.STEPS)} == digests
