import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from aws_reader import ACCOUNT, NOW, ago, of, read, running
from hypothesis import given
from hypothesis import strategies as st

from connectors import aws
from connectors.aws.anywhere import _kept as kept_certificates
from connectors.aws.kept import Kept
from connectors.aws.keys import _decoded
from connectors.aws.users import _kept_rows
from countersign.aws_documents import ListedKey
from countersign.identity import Credential, Observation, Record
from countersign.reading import KeyRow
from sandbox.aws import SandboxAws, Shown

DAY = timedelta(days=1)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[SandboxAws]:
    with running(monkeypatch) as at_hand:
        yield at_hand


def keys(records: list[Record]) -> dict[str, tuple[bool | None, object, object]]:
    return {
        one.uid.rpartition("/")[2]: (one.enabled, one.created_at, one.last_used_at)
        for one in of(Credential, records)
        if one.kind == "access-key"
    }


def calls(cloud: SandboxAws, *actions: str) -> int:
    return sum(count for (_, action), count in cloud.calls.items() if action in actions)


def test_an_unchanged_night_asks_for_no_key_again_and_says_the_same(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    for number in range(30):
        account.user(f"u{number}", ago(400))
        account.key(f"u{number}", ago(200), last_used=ago(3))
    first = read(cloud, kept=tmp_path)
    cloud.calls.clear()
    second = read(cloud, kept=tmp_path, now=NOW + DAY)
    assert keys(first) == keys(second)
    core = {operation.partition(":")[2] for operation in aws.CORE}
    assert (0, 4) == (calls(cloud, "ListAccessKeys"), calls(cloud, *core))
    (seen,) = (one for one in of(Observation, second) if one.operation == "iam:ListAccessKeys")
    assert ({"kept_since": "2026-11-21T06:00:00Z"}, 30) == (seen.parameters, len(seen.items))


def test_a_changed_row_is_asked_for_again(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    for name in ("same", "rotated", "stopped", "used"):
        account.user(name, ago(400))
    kept, gone, stopped, used = (account.key(name, ago(200), last_used=ago(9)) for name in ("same", "rotated", "stopped", "used"))
    other = account.key("stopped", ago(1))
    read(cloud, kept=tmp_path)
    cloud.calls.clear()
    account.iam.delete_access_key(UserName="rotated", AccessKeyId=gone)
    new = account.key("rotated", ago(0))
    account.iam.update_access_key(UserName="stopped", AccessKeyId=stopped, Status="Inactive")
    account.backdate_key(used, ago(200), last_used=ago(0))
    found = keys(read(cloud, kept=tmp_path, now=NOW + DAY))
    assert {kept: (True, ago(9)), new: (True, None), stopped: (False, ago(9)), other: (True, None), used: (True, ago(0))} == {
        name: (enabled, at) for name, (enabled, _, at) in found.items()
    }
    assert calls(cloud, "ListAccessKeys") == 2


def test_a_listing_that_the_report_does_not_bear_out_is_not_kept(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    account.user("flip", ago(400))
    key = account.key("flip", ago(200), last_used=ago(9))
    account.freeze_report(ago(hours=1))
    account.iam.update_access_key(UserName="flip", AccessKeyId=key, Status="Inactive")
    assert keys(read(cloud, kept=tmp_path))[key][0] is False
    account.iam.update_access_key(UserName="flip", AccessKeyId=key, Status="Active")
    assert keys(read(cloud, kept=tmp_path, now=NOW + DAY))[key][0] is True


def test_everything_is_asked_again_after_a_week(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    account.user("u", ago(400), policies=("AdministratorAccess",))
    account.key("u", ago(200))
    account.ssh_key("u", ago(100))
    account.signing_certificate("u", ago(100))
    account.trust_anchor("factory", ago(80))
    account.anywhere_subject("CN=robot", ago(80), last_seen=ago(1))
    once = ("ListAccessKeys", "ListSSHPublicKeys", "ListSigningCertificates", "GetSubject")
    counts = []
    for day in (0, 1, 6, 7, 8):
        cloud.calls.clear()
        read(cloud, kept=tmp_path, now=NOW + day * DAY)
        counts.append([calls(cloud, action) for action in once])
    assert [[1, 1, 1, 1], [0] * 4, [0] * 4, [1, 1, 1, 1], [0] * 4] == counts


def test_a_new_ssh_key_is_seen_within_a_week_and_a_new_user_at_once(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    account.user("old", ago(400), policies=("AdministratorAccess",))
    read(cloud, kept=tmp_path)
    account.ssh_key("old", ago(0))
    account.user("new", ago(0), policies=("AdministratorAccess",))
    new = account.ssh_key("new", ago(0))
    found = [one.uid.rpartition("/")[2] for one in of(Credential, read(cloud, kept=tmp_path, now=NOW + DAY)) if one.kind == "ssh-key"]
    assert [new] == found


def test_a_subject_that_was_seen_since_is_asked_for_again(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    account.trust_anchor("factory", ago(80))
    account.anywhere_subject("CN=robot", ago(80), last_seen=ago(5), certificates=(Shown(ago(100), seen=ago(5)),))
    read(cloud, kept=tmp_path)
    (subject,) = account.estate.kept(ACCOUNT, "eu-west-2", "subject")
    subject["lastSeenAt"] = subject["credentials"][0]["seenAt"] = ago(0)
    (certificate,) = (one for one in of(Credential, read(cloud, kept=tmp_path, now=NOW + DAY)) if one.kind == "certificate")
    assert (certificate.last_used_at, calls(cloud, "GetSubject")) == (ago(0), 2)


def test_creators_are_looked_up_from_where_the_last_night_ended(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    dev = f"arn:aws:iam::{ACCOUNT}:user/dev"
    first = account.user("first", ago(5))
    account.event("CreateUser", ago(5), by=dev, response={"user": {"userId": first}})
    read(cloud, kept=tmp_path)
    second = account.user("second", ago(-0.5))
    account.event("CreateUser", ago(-0.5), by=dev, response={"user": {"userId": second}})
    cloud.at(NOW + DAY)
    records = read(cloud, kept=tmp_path, now=NOW + DAY)
    assert {first: dev, second: dev} == {
        one.native_id: one.created_by
        for one in records
        if getattr(one, "native_id", None) in {first, second}  # type: ignore[union-attr]
    }
    (seen,) = (one for one in of(Observation, records) if one.operation == "cloudtrail:LookupEvents")
    assert len(seen.items) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9, "account": "444455556666", "since": "x", "answers": {}}'])
def test_a_file_that_makes_no_sense_is_read_afresh(cloud: SandboxAws, tmp_path: Path, text: str) -> None:
    account = cloud.account(ACCOUNT)
    account.user("u", ago(400))
    key = account.key("u", ago(200))
    (tmp_path / "aws-answers.json").write_text(text)
    assert {key} == set(keys(read(cloud, kept=tmp_path)))
    assert json.loads((tmp_path / "aws-answers.json").read_text())["answers"]["access-keys"]


def test_answers_of_another_account_or_of_the_future_are_not_used(tmp_path: Path) -> None:
    mine = Kept(tmp_path, ACCOUNT, NOW)
    mine.put("access-keys", "AIDA", [["AKIA", True, "2026-01-01T00:00:00Z"]])
    mine.save()
    assert Kept(tmp_path, ACCOUNT, NOW + DAY).get("access-keys", "AIDA")
    assert [None] * 3 == [
        Kept(tmp_path, account, now).get("access-keys", "AIDA")
        for account, now in (("111111111111", NOW), (ACCOUNT, NOW - DAY), (ACCOUNT, NOW + 7 * DAY))
    ]


def test_a_folder_that_cannot_be_written_to_costs_nothing_but_calls(cloud: SandboxAws, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    account = cloud.account(ACCOUNT)
    account.user("u", ago(400))
    key = account.key("u", ago(200))
    assert {key} == set(keys(read(cloud, kept=blocked / "folder")))


def test_what_is_not_needed_keeps_its_name_from_the_report(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("u", ago(400))
    account.key("u", ago(200))
    read(cloud, kept=tmp_path)

    def needless(_row: KeyRow) -> bool:
        return False

    assert {f"{native}@{ago(200):%Y%m%dT%H%M%SZ}"} == set(keys(read(cloud, needs_id=needless, kept=tmp_path)))


def test_what_a_standing_finding_names_keeps_that_name(cloud: SandboxAws, tmp_path: Path) -> None:
    account = cloud.account(ACCOUNT)
    native = account.user("u", ago(400))
    key = account.key("u", ago(200))
    named = frozenset({f"aws:{ACCOUNT}:user/{native}"})
    assert {key} == set(keys(read(cloud, needs_id=lambda _row: False, named=named, kept=tmp_path)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_kept_file_holds_is_an_answer_or_none(odd: object) -> None:
    listed, shown, rows = _decoded(odd), kept_certificates(odd), _kept_rows(odd)
    assert listed is None or all(isinstance(key, ListedKey) for key in listed)
    assert shown is None or {5} >= {len(row) for row in shown.rows}
    assert rows is None or rows == odd
