from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.aws_documents import ListedKey, Reading, ReportKey, Use, identities_of, pair, report_rows
from countersign.aws_documents.report import NEVER_USED, USE_UNKNOWN
from countersign.identity import Credential, Grant, Identity

NOW = datetime(2026, 11, 21, tzinfo=UTC)
REPORT = """\ufeffmfa_active,user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,\
access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date\r
true,<root_account>,arn:aws:iam::444455556666:root,2019-01-01T00:00:00+00:00,not_supported,2026-11-01T00:00:00+00:00,not_supported,\
false,N/A,N/A,false,N/A,N/A\r
false,"a,b",arn:aws:iam::444455556666:user/ops/x,2026-01-01T00:00:00Z,true,no_information,2026-02-01T00:00:00Z,\
TRUE,2026-03-01T00:00:00Z,,false,2026-04-01T00:00:00+00:00,2026-05-01T00:00:00+00:00\r
"""


def test_the_report_is_read_with_all_its_quirks() -> None:
    root, row = report_rows(REPORT)
    assert (None, datetime(2026, 11, 1, tzinfo=UTC), None, ()) == (
        root.password_enabled, root.password_use.at, root.password_changed_at, root.keys,
    )  # fmt: skip
    assert (row.user, row.account, row.password_enabled, row.password_use, row.mfa) == ("a,b", "444455556666", True, NEVER_USED, False)
    assert (
        ReportKey(1, active=True, created_at=datetime(2026, 3, 1, tzinfo=UTC), use=USE_UNKNOWN),
        ReportKey(2, active=False, created_at=datetime(2026, 4, 1, tzinfo=UTC), use=Use(datetime(2026, 5, 1, tzinfo=UTC), "known")),
    ) == row.keys


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: not a credential report"),
        ("name,age\nx,1\n", "line 1: not a credential report"),
        ("user,arn,password_enabled\nx,y\n", "line 2: 2 cells where the header has 3"),
        ("user,arn,password_enabled\n,,true\n", "no user"),
    ],
)
def test_what_is_no_report_says_where(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        list(report_rows(text))


@given(st.binary(max_size=40), st.integers(0, len(REPORT)), st.integers(0, 30))
def test_a_broken_report_is_read_or_refused_and_nothing_else(noise: bytes, at: int, cut: int) -> None:
    broken = REPORT[:at] + noise.decode("latin-1") + REPORT[at + cut :]
    try:
        rows = list(report_rows(broken))
    except ValueError:
        return
    assert all(row.user and row.arn for row in rows)


USES = st.sampled_from([NEVER_USED, Use(NOW, "known"), Use(NOW - timedelta(days=9), "known")])
KEYS = st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0, 5]), USES), max_size=2)


@given(KEYS)
def test_a_paired_key_always_gets_its_own_use(truth: list[tuple[bool, int, Use]]) -> None:
    listed = [ListedKey(f"AKIA{number}", active, NOW - timedelta(days=age)) for number, (active, age, _) in enumerate(truth)]
    slots = [ReportKey(number + 1, active, NOW - timedelta(days=age), use) for number, (active, age, use) in enumerate(truth)]
    uses = {f"AKIA{number}": use for number, (_, _, use) in enumerate(truth)}
    for order in permutations(slots):
        for key, slot in pair(order, listed):
            assert slot is None or slot.use == uses[key.id]


def page(**lists: object) -> dict[str, object]:
    return {"UserDetailList": [], "RoleDetailList": [], "GroupDetailList": [], "Policies": []} | lists


def test_a_policy_on_a_later_page_still_decides() -> None:
    arn = "arn:aws:iam::444455556666:policy/ops"
    everything = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    user = {"UserId": "AIDA1", "UserName": "x", "Arn": "arn:aws:iam::444455556666:user/ops/x", "CreateDate": "2026-01-01T00:00:00+00:00"}
    attached = [{"PolicyName": "ops", "PolicyArn": arn}]
    versions = [
        {"VersionId": "v1", "IsDefaultVersion": False, "Document": {}},
        {"VersionId": "v2", "IsDefaultVersion": True, "Document": everything},
    ]
    pages = [
        page(UserDetailList=[user | {"AttachedManagedPolicies": attached, "GroupList": ["late", "lost"]}]),
        page(GroupDetailList=[{"GroupName": "late", "GroupPolicyList": [{"PolicyName": "all", "PolicyDocument": everything}]}]),
        page(Policies=[{"Arn": arn, "PolicyVersionList": versions}]),
    ]
    reading = Reading(account="444455556666", observed_at=NOW, report={row.arn: row for row in report_rows(REPORT)}, report_at=NOW)
    records = list(identities_of(pages, reading))
    assert {
        ("ops", "direct", "administrator"),
        ("all", "group:late", "administrator"),
        ("policies of the group, which were not read", "group:lost", None),
    } == {(one.role, one.via, one.power) for one in records if isinstance(one, Grant)}
    assert {"AIDA1@20260301T000000Z", "AIDA1@20260401T000000Z"} == {
        one.uid.rpartition("/")[2] for one in records if isinstance(one, Credential) and one.kind == "access-key"
    }
    assert [one.track for one in records if isinstance(one, Identity)] == ["human", "human"]


@pytest.mark.parametrize(
    ("tags", "password", "track"),
    [
        ({}, "true", "human"), ({}, "false", "machine"), ({}, "", None),
        ({"track": "machine"}, "true", "machine"), ({"Track": " Machine "}, "true", "machine"), ({"track": "human"}, "false", "machine"), ({"nhi:track": "machine"}, "", "machine"),
        ({"nhi:track": "human", "track": "machine"}, "true", "human"),
        ({"track": "delegation"}, "true", "human"), ({"track": ""}, "false", "machine"), ({"track": "robot"}, "", None), ({"track": "human"}, "", None),
    ],
)  # fmt: skip
def test_a_tag_says_who_uses_a_user_and_a_password_only_lets_guess(tags: dict[str, str], password: str, track: str | None) -> None:
    arn = "arn:aws:iam::444455556666:user/x"
    (row,) = report_rows(f"user,arn,user_creation_time,password_enabled,mfa_active\nx,{arn},2026-01-01T00:00:00Z,{password},false\n")
    told = [{"Key": key, "Value": value} for key, value in tags.items()]
    user = {"UserId": "AIDA1", "UserName": "x", "Arn": arn, "CreateDate": "2026-01-01T00:00:00+00:00", "Tags": told}
    reading = Reading(account="444455556666", observed_at=NOW, report={arn: row}, report_at=NOW)
    (one,) = (one for one in identities_of([page(UserDetailList=[user])], reading) if isinstance(one, Identity))
    assert (track, track is None) == (one.track, "track" in one.unknown)
    assert {"true": True, "false": False}.get(password) == one.console
    assert one.mfa is False


def test_an_entry_without_an_immutable_id_is_refused() -> None:
    reading = Reading(account="444455556666", observed_at=NOW, report=None)
    with pytest.raises(ValueError, match="UserId"):
        list(identities_of([page(UserDetailList=[{"UserName": "x"}])], reading))
