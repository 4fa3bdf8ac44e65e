"""Every approval that must not count and every drift that must stop a plan, by the command line, with nothing changed in any cloud."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from sandbox.aws import trust
from tests.acceptance.offboarding_case import REFUSED, Case, Fields
from tests.acceptance.offboarding_estate import Kestrel
from tests.acceptance.offboarding_programme import PEOPLE, Programme, people

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with Kestrel() as estate:
        yield Case(estate, Programme(tmp_path_factory.mktemp("kestrel") / "programme", estate))


def other(statement: Fields, **fields: object) -> Fields:
    """Write the statement anew, with other fields of its predicate."""
    return {**statement, "predicate": {**statement["predicate"], **fields}}


def stamp(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("fields", "key", "namespace"),
    [
        pytest.param({"issued": stamp(-1), "expires": stamp(-0.01)}, "ada", "countersign", id="expired"),
        pytest.param({"issued": stamp(-3)}, "ada", "countersign", id="older than its plan"),
        pytest.param({"issued": stamp(0.5)}, "ada", "countersign", id="of the future"),
        pytest.param({"expires": stamp(30)}, "ada", "countersign", id="longer than seven days"),
        pytest.param({"customer": "halden"}, "ada", "countersign", id="for another customer"),
        pytest.param({}, "stranger", "countersign", id="forged"),
        pytest.param({}, "ben", "countersign", id="in another's name"),
        pytest.param({}, "ada", "git", id="for another purpose"),
        pytest.param({"approver": "rex"}, "rex", "countersign", id="by who asked"),
        pytest.param({"approver": "cal"}, "cal", "countersign", id="by who is not accountable"),
        pytest.param({"approver": "pavel"}, "pavel", "countersign", id="by nobody of ours"),
        pytest.param({"approver": "zeta/pavel"}, "pavel", "countersign", id="by the partner"),
        pytest.param({"approver": "default"}, "stranger", "countersign", id="by no person"),
        pytest.param({"decision": "APPROVE"}, "ada", "countersign", id="of no decision"),
    ],
)
def test_an_approval_that_must_not_count_changes_nothing(case: Case, fields: Fields, key: str, namespace: str) -> None:
    with case.approved(other(case.statement, **fields), key, namespace=namespace):
        case.refuses()


def test_an_approval_of_another_plan_does_not_count(case: Case) -> None:
    subject = [{**case.statement["subject"][0], "name": "plan/zeta-20260101t000000z-000000"}]
    with case.approved({**case.statement, "subject": subject}, "ada"):
        case.refuses()
    subject = [{**case.statement["subject"][0], "digest": {"sha256": "0" * 64}}]
    with case.approved({**case.statement, "subject": subject}, "ada"):
        case.refuses()


def test_a_signature_cut_swapped_or_missing_does_not_count(case: Case) -> None:
    with case.approved(case.statement, "ada"):
        sig = case.folder / "approvals" / "ada-1.sig"
        whole = sig.read_text()
        for text in (whole[: len(whole) // 2], "", case.programme.keys["ada"].sign(b"something else")):
            sig.write_text(text)
            case.refuses()


@contextmanager
def register(case: Case, *lines: str, **settings: object) -> Iterator[None]:
    """Let the register say something else for a while."""
    case.programme.signers(*lines)
    case.programme.customer(**settings)
    yield
    case.programme.signers()
    case.programme.customer()


def test_a_partner_cannot_approve_even_from_the_people_list(case: Case) -> None:
    pavel = {"id": "pavel", "name": "Pavel", "email": "pavel@zeta.example", "active": True}
    line = case.programme.keys["pavel"].line("pavel", 'namespaces="countersign"')
    with register(case, line, people=[*people(), pavel]), case.approved(other(case.statement, approver="pavel"), "pavel"):
        case.refuses()


def test_the_signature_of_an_accountable_person_with_a_mailbox_at_the_partner_does_not_count(case: Case) -> None:
    moved = [{**one, "email": "ada@zeta.example"} if one["id"] == "ada" else one for one in people()]
    with register(case, people=moved), case.approved(case.statement, "ada"):
        case.refuses()


def test_who_has_left_since_approves_nothing(case: Case) -> None:
    left = [{**one, "active": one["id"] != "ada"} for one in people()]
    with register(case, people=left), case.approved(case.statement, "ada"):
        case.refuses()


def test_a_key_that_has_ended_since_approves_nothing(case: Case) -> None:
    key = case.programme.keys
    with case.approved(case.statement, "ada"):
        path = case.programme.folder / "register" / "allowed_signers"
        whole = path.read_text()
        for options in ('valid-before="20260101"', 'namespaces="git"', 'namespaces="countersign",valid-after="20990101"'):
            path.write_text("".join(key[name].line(name, options if name == "ada" else 'namespaces="countersign"') for name in PEOPLE))
            case.refuses()
        path.write_text(whole)


def test_a_key_of_two_people_approves_nothing(case: Case) -> None:
    both = case.programme.keys["ada"].line("cal", 'namespaces="countersign"')
    with register(case, both), case.approved(case.statement, "ada"):
        case.refuses()


def test_who_asked_cannot_approve_under_a_second_name(case: Case) -> None:
    twin = {"id": "rexy", "name": "Rex Y.", "email": "rex@kestrel.example", "active": True}
    line = case.programme.keys["stranger"].line("rexy", 'namespaces="countersign"')
    control = case.programme.folder / "register" / "controls" / "contract-ended.yaml"
    whole = control.read_text()
    control.write_text(whole.replace("A: ben", "A: rexy"))
    with register(case, line, people=[*people(), twin]), case.approved(other(case.statement, approver="rexy"), "stranger"):
        case.refuses()
    control.write_text(whole)


def test_a_plan_that_was_changed_by_a_byte_is_not_carried_out(case: Case) -> None:
    path = case.folder / "plan.json"
    whole = path.read_bytes()
    with case.approved(case.statement, "ada"):
        for changed in (whole + b"\n", whole.replace(b"the contract K-1 ends", b"the contract K-2 ends", 1)):
            path.write_bytes(changed)
            case.refuses("")
        path.write_bytes(whole)


def test_a_plan_that_nobody_sealed_is_not_carried_out_however_well_it_is_approved(case: Case) -> None:
    made = case.plan[:-6] + "abcdef"
    folder = case.folder.parent / made
    (folder / "approvals").mkdir(parents=True)
    (folder / "plan.json").write_bytes((case.folder / "plan.json").read_bytes().replace(case.plan.encode(), made.encode()))
    said = case.programme.sign(made, "ada")
    case.refuses("never sealed", plan=made)
    assert said.code == REFUSED, "an unsealed plan is not there to be approved"


def new_key(estate: Kestrel) -> Callable[[], None]:
    made = estate.alpha.key("svc-made", estate.ago(0))
    return lambda: estate.alpha.backend.delete_access_key(made, "svc-made")


def key_enabled(estate: Kestrel) -> Callable[[], None]:
    def to(status: str) -> None:
        estate.alpha.iam.update_access_key(UserName="zeta-batch", AccessKeyId=estate.ids["key/zeta-batch/off"], Status=status)  # type: ignore[arg-type] # one of the two

    to("Active")
    return lambda: to("Inactive")


def new_trust(estate: Kestrel) -> Callable[[], None]:
    estate.beta.role("late", trust("777700000001"), estate.ago(0))
    return lambda: estate.beta.backend.delete_role("late")


def shared_policy(estate: Kestrel) -> Callable[[], None]:
    old = estate.snapshot()["aws"][estate.alpha.number]["roles"]["shared-etl"]["trust"]

    def to(policy: Fields) -> None:
        estate.alpha.iam.update_assume_role_policy(RoleName="shared-etl", PolicyDocument=json.dumps(policy))

    to(
        {
            **old,
            "Statement": [
                *old["Statement"],
                {"Effect": "Allow", "Principal": {"Service": "ecs.amazonaws.com"}, "Action": "sts:AssumeRole"},
            ],
        }
    )
    return lambda: to(old)


def unreadable_scope(estate: Kestrel) -> Callable[[], None]:
    estate.gcp.deny("kestrel-data")
    return lambda: estate.gcp.allow("kestrel-data")


def new_secret(estate: Kestrel) -> Callable[[], None]:
    old = estate.tenant.find(estate.ids["app/zeta"])
    assert old is not None
    kept = list(old[1]["passwordCredentials"])
    estate.tenant.secret(estate.ids["app/zeta"], estate.ago(0), estate.ago(-10))
    return lambda: estate.tenant.change(estate.ids["app/zeta"], passwordCredentials=kept)


def new_member(estate: Kestrel) -> Callable[[], None]:
    estate.prod.bind("roles/editor", "user:zack@zeta.example")

    def undo() -> None:
        estate.prod.bindings.pop()

    return undo


def made_anew(estate: Kestrel) -> Callable[[], None]:
    for key in estate.alpha.iam.list_access_keys(UserName="zeta-fresh")["AccessKeyMetadata"]:
        estate.alpha.iam.delete_access_key(UserName="zeta-fresh", AccessKeyId=key["AccessKeyId"])
    estate.alpha.iam.delete_user(UserName="zeta-fresh")
    estate.alpha.user("zeta-fresh", estate.ago(400))
    estate.alpha.key("zeta-fresh", estate.ago(0.1), key_id=estate.ids["key/zeta-fresh"])
    return lambda: None


@pytest.mark.parametrize(
    "drift", [new_key, key_enabled, new_trust, shared_policy, new_secret, new_member, unreadable_scope, made_anew]
)  # fmt: skip
def test_what_changed_since_the_approval_stops_the_plan(case: Case, drift: Callable[[Kestrel], Callable[[], None]]) -> None:
    undo = drift(case.estate)
    drifted, before = case.estate.snapshot(), case.before
    case.before = drifted
    with case.approved(case.statement, "ada"):
        case.refuses("does not fit any more")
    undo()
    if drift is not made_anew:
        case.before = before
        assert case.estate.snapshot() == before


def test_a_large_plan_takes_two(case: Case) -> None:
    with register(case, revocation={"watch": "P14D", "large": 3, "owed_within": "PT24H"}):
        made = case.planned()
        assert case.programme.sign(made, "ada").code == 0
        case.refuses(plan=made)
        again = {**case.stated(made, "ben"), "predicate": {**case.stated(made, "ben")["predicate"], "approver": "ada"}}
        text = json.dumps(again, separators=(",", ":"), sort_keys=True).encode()
        for suffix, content in ((".json", text), (".sig", case.programme.keys["ada"].sign(text).encode())):
            (case.folder.parent / made / "approvals" / f"ada-2{suffix}").write_bytes(content)
        case.refuses(plan=made)
