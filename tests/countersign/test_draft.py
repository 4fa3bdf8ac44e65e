"""Drafts from what a run found: they hold but for the lines they name, they catch nothing else, and the next run agrees."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign import cli, document, scaffold
from countersign.drafting import drafts_of
from countersign.drafting.found import Found, Search, search
from countersign.drafting.people import People
from countersign.programme import load
from countersign.register.check import check
from countersign.register.records import (
    Contract,
    Control,
    Customer,
    Footprint,
    Owners,
    Partner,
    Person,
    Policies,
    Policy,
    Register,
    Workload,
)
from sandbox.estate import exports

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from countersign.errors import Problem

NOW = datetime(2026, 11, 22, 2, 15, tzinfo=UTC)
ACCOUNT = "444455556666"
HOSTILE = "a: &x {b}\n# DECIDE: [x] *y\t\u202e\x1b[2J'\"\\"


def partner(name: str, ends: date | None) -> Partner:
    footprint = Footprint(email_domains=(f"{name}.example",), name_patterns=(f"{name}-*",), tags={"partner": name})
    return Partner(
        id=name,
        name=f"{name.title()} Services",
        contract=Contract(reference="C-1", starts=date(2025, 1, 1), ends=ends),
        footprint=footprint,
    )


def register(**more: Any) -> Register:
    people = (
        Person(id="maria", name="Maria Keller", email="maria@northwind.example", active=True),
        Person(id="devika", name="Devika Rao", email="devika.rao@northwind.example", active=True),
        Person(id="tom", name="Tom Lindqvist", email="tom@northwind.example", active=False),
    )
    entries: dict[str, Any] = {
        "customer": Customer(id="northwind", name="Northwind plc"),
        "people": {person.id: person for person in people},
        "external_people": ("acme",),
        "teams": {"soc": "soc@northwind.example"},
        "policies": Policies(human=Policy(), machine=Policy()),
        "partners": {"acme": partner("acme", date(2027, 1, 31)), "corvid": partner("corvid", None)},
        "digest": "sha256:0",
    }
    return Register(**(entries | more))


_NUMBER = count()


def found(name: str, **more: Any) -> Found:
    """Make an identity that nobody registered."""
    uid = f"aws:{ACCOUNT}:user/AIDA{next(_NUMBER)}"
    said: dict[str, Any] = {
        "uid": uid, "provider": "aws", "scope": ACCOUNT, "kind": "user", "name": name, "track": "machine", "partner": None,
        "partner_how": None, "partner_why": None, "conflict": None, "owner_claim": None, "creator": None, "purpose": None, "tags": {},
        "pattern": uid,
    }  # fmt: skip
    return Found(**(said | more))


def drafted(*identities: Found, held: Register | None = None, judged: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Draft, and read each file as YAML: entry to its fields."""
    drafts = drafts_of(Search(tuple(identities), {}), held or register(), NOW, tuple(judged))
    files = (*drafts.workloads, *(() if drafts.default is None else (drafts.default,)))
    return {each.entry: yaml.safe_load(each.text) | {"why": each.why, "text": each.text} for each in files}


@pytest.mark.parametrize(
    ("claim", "meant"),
    [
        ("maria", "maria"), ("MARIA", "maria"), ("maria.keller", "maria"), ("Maria Keller", "maria"), ("MariaKeller", "maria"),
        ("maria@northwind.example", "maria"), ("Maria Keller <maria@northwind.example>", "maria"),
        ("maria.keller@acme.example", None), ("maria@acme.example", None), ("tom", None), ("acme", None), ("acme/pavel", None), ("soc", None),
        ("", None), ("platform team", None),
    ],
)  # fmt: skip
def test_a_claim_means_an_active_person_of_the_customers_or_nobody(claim: str, meant: str | None) -> None:
    assert meant == People(register()).meant(claim)


@pytest.mark.parametrize(
    ("claim", "hint"),
    [
        ("tom", "tom has left"), ("tom@northwind.example", "tom has left"), ("acme", "is partner acme's"), ("acme/pavel", "is partner acme's"),
        ("pavel@acme.example", "is partner acme's"), ("soc", "is a team"), ("Pavel", "is nobody that the register knows"),
    ],
)  # fmt: skip
def test_a_leavers_or_partners_name_is_a_hint_and_never_an_owner(claim: str, hint: str) -> None:
    (entry,) = drafted(found("acme-backup", partner="acme", partner_how="tag", owner_claim=claim, tags={"owner": claim})).values()
    assert "owner" in entry
    assert entry["owner"] is None
    assert f"# hint: tag owner={claim}: {hint}" in entry["text"]


def test_owners_are_guessed_from_the_strongest_evidence_and_the_reason_stands_beside() -> None:
    control = Control(control="named-owner", owners=Owners(business="devika"))
    held = register(controls={"named-owner": control}, workloads={"old": Workload(workload="old", partner="acme", owner="maria")})
    got = drafted(
        found("acme-claimed", partner="acme", partner_how="tag", owner_claim="devika", creator="maria", tags={"owner": "devika"}),
        found("acme-made", partner="acme", partner_how="tag", creator="arn:aws:iam::444455556666:user/devika.rao"),
        found("acme-devika-jobs", partner="acme", partner_how="tag"),
        found("acme-bare", partner="acme", partner_how="tag"),
        found("own", track="machine"),
        held=held,
    )
    assert {
        "acme-claimed": ("devika", "tag owner=devika on"), "acme-made": ("devika", "arn:aws:iam::444455556666:user/devika.rao made"),
        "acme-devika-jobs": ("devika", "the name of"), "acme-bare": ("maria", "owner of 1 of acme's 1 registered workloads"),
        "own": ("devika", "last resort: nothing names anybody; business owner of named-owner"),
    } == {name: (entry["owner"], entry["why"].partition(" aws:")[0]) for name, entry in got.items()}  # fmt: skip
    assert f"owner: devika  # guess: tag owner=devika on aws:{ACCOUNT}:user/" in got["acme-claimed"]["text"]


def test_what_looks_like_one_use_is_one_workload_and_never_two_partners() -> None:
    one = {"partner": "acme", "partner_how": "tag"}
    got = drafted(
        found("acme-backup", **one, owner_claim="maria", purpose="Nightly backup"),
        found("acme-backup-2", **one, scope="111122223333"),
        found("Acme Backup Console", **one, kind="application"),
        found("restorer", **one, tags={"system": "backup"}),
        found("acme-vaulting", **one, purpose="nightly backup "),
        found("corvid-backup", partner="corvid", partner_how="name"),
        found("backup"),
        found("pavel@acme.example", **one, track="human"),
        found("ines@acme.example", **one, track="human"),
        found("token.acme.example", **one, track="delegation", kind="oidc-provider"),
    )
    assert {"acme-backup": 5, "corvid-backup": 1, "backup": 1, "acme-people": 2, "acme-ways-in": 1} == {
        name: len(entry["identities"]) for name, entry in got.items()
    }
    assert {"acme-backup": "acme", "corvid-backup": "corvid", "backup": None} == {
        name: entry.get("partner") for name, entry in got.items() if name.endswith("backup")
    }


def test_owners_and_environments_split_what_is_alike_and_no_id_is_given_twice() -> None:
    one: dict[str, Any] = {"partner": "acme", "partner_how": "tag"}
    got = drafted(
        found("acme-sync", **one, owner_claim="maria", tags={"env": "prod"}),
        found("acme-sync", **one, owner_claim="devika", tags={"env": "prod"}),
        found("acme-sync-dev", **one, owner_claim="maria"),
        held=register(workloads={"ACME-sync": Workload(workload="ACME-sync", partner="acme", owner="maria")}),
    )
    assert (
        {"acme-sync-production": "devika", "acme-sync-production-2": "maria", "acme-sync-development": "maria"}.keys() >= set() != set(got)
    )
    assert sorted([("devika", "production"), ("maria", "production"), ("maria", "development")]) == sorted(
        (entry["owner"], entry["environment"]) for entry in got.values()
    )
    assert "ACME-sync".casefold() not in {name.casefold() for name in got}


def test_the_end_is_the_contracts_and_a_person_decides_where_there_is_none() -> None:
    got = drafted(
        found("acme-a", partner="acme", partner_how="x"), found("corvid-b", partner="corvid", partner_how="x"), found("c"),
        held=register(partners={"acme": partner("acme", date(2026, 1, 31)), "corvid": partner("corvid", None)}),
    )  # fmt: skip
    assert [date(2026, 1, 31), None, None] == [got[name]["expires"] for name in ("acme-a", "corvid-b", "c")]
    assert "it is over" in got["acme-a"]["text"]


def test_too_many_that_are_like_no_other_are_put_together_by_place() -> None:
    letters = "bcdfghjklm"
    names = [f"{a}{b}{a}{b}x" for a in letters for b in letters]
    got = drafted(
        *(found(name, scope=str(444455550000 + index % 2)) for index, name in enumerate([*names, *(f"{name}yz" for name in names)]))
    )
    assert (2, 200) == (len(got), sum(len(entry["identities"]) for entry in got.values()))
    assert all("too many to draft one by one" in entry["text"] for entry in got.values())


# --- what holds of every draft ---

texts = st.sampled_from(["", HOSTILE, "a*b", "acme-backup", "null", "=1+1", "x" * 5000, "maria", "\ud83d\ude00", "ﬁn\u0301"]) | st.text(
    max_size=30
)
identities = st.builds(
    found,
    texts,
    kind=st.sampled_from(["user", "role"]),
    scope=st.sampled_from([ACCOUNT, "111122223333"]),
    track=st.sampled_from(["machine", "human", "delegation", None]),
    partner=st.sampled_from(["acme", "corvid", None]),
    partner_how=texts | st.none(),
    partner_why=texts | st.none(),
    conflict=texts | st.none(),
    owner_claim=texts | st.sampled_from(["maria", "devika", "tom", "acme/pavel"]) | st.none(),
    creator=texts | st.none(),
    purpose=texts | st.none(),
    tags=st.dictionaries(st.sampled_from(["system", "env", "owner", "partner"]), texts | st.sampled_from(["prod", "dev"]), max_size=3),
)
controls = st.sampled_from([{}, {"named-owner": Control(control="named-owner", owners=Owners(business="tom"))}])


@settings(max_examples=60, deadline=None)
@given(st.lists(identities, max_size=12), controls)
def test_every_draft_holds_but_for_the_lines_that_it_names(several: list[Found], held_controls: dict[str, Control]) -> None:
    held = register(controls=held_controls)
    drafts = drafts_of(Search(tuple(several), {}), held, NOW, ["rotation-age", "named-owner"])
    partners = {one.pattern: one.partner for one in several}
    named = [pattern for each in drafts.workloads for pattern in each.identities]
    assert sorted(map(str, partners)) == sorted(named)
    assert all({each.partner} == {partners[pattern] for pattern in each.identities} for each in drafts.workloads)
    assert len({each.file.casefold() for each in drafts.workloads}) == len(drafts.workloads)
    problems: list[Problem] = []
    for each in (*drafts.workloads, *filter(None, [drafts.default])):
        written = document.parse(each.text.encode(), each.file, problems)
        assert written is not None
        assert [one.line for one in each.decide] == [written.lines[tuple(one.field.split("."))] for one in each.decide]
        assert all(line.isprintable() for line in each.text.splitlines())
        kind, entries = (Workload, "workloads") if each.partner or each.identities else (Control, "controls")
        entry = written.build(kind, problems)
        assert entry is not None, problems
        alone = register(**{entries: {each.entry: entry}})
        broken = {problem.field for problem in check(alone, NOW.date())} - {problem.field for problem in check(register(), NOW.date())}
        assert {one.field for one in each.decide} == broken
        if isinstance(entry, Workload):
            assert (each.identities, each.owner) == (entry.identities, entry.owner)
            assert entry.owner is None or held.live(entry.owner) is not None
    assert problems == []


# --- real runs on the demo's exports ---


def details() -> str:
    """Write an account's authorization details, with names that a pattern could mistake."""
    users = [
        ("AIDA0000000000000001", "acme-backup", {"partner": "acme", "nhi:owner": "maria", "nhi:purpose": HOSTILE}),
        ("AIDA0000000000000002", "acme-*", {"owner": "tom"}),
        ("AIDA0000000000000003", "AIDA0000000000000001", {"partner": "corvid"}),
        ("AIDA0000000000000004", "acme-" + "long" * 200, {}),
        ("AIDA0000000000000005", "orders", {"owner": "devika", "partner": "acme"}),
    ]
    made = {
        "UserDetailList": [
            {
                "Path": "/", "UserName": name, "UserId": key, "Arn": f"arn:aws:iam::{ACCOUNT}:user/{name}", "CreateDate": "2025-01-01T00:00:00Z",
                "GroupList": [], "AttachedManagedPolicies": [], "Tags": [{"Key": tag, "Value": value} for tag, value in tags.items()],
            }
            for key, name, tags in users
        ],
        "RoleDetailList": [], "GroupDetailList": [], "Policies": [], "IsTruncated": False,
    }  # fmt: skip
    return json.dumps(made)


@pytest.fixture(scope="module")
def mess(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's exports under a register without workloads, after one night."""
    folder = tmp_path_factory.mktemp("draft") / "northwind"
    scaffold.init(folder, customer="northwind")
    held = folder / "register"
    for old in (*held.glob("workloads/*"), *held.glob("partners/*"), *held.glob("controls/*")):
        old.unlink()
    customer = register().model_dump(mode="json", include={"customer", "people", "teams"})
    text = {
        "customer": {"id": "northwind", "name": "Northwind plc"},
        "people": list(customer["people"].values()),
        "teams": customer["teams"],
        "policies": {"human": {}, "machine": {}},
    }
    (held / "customer.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
    for name, ends in (("acme", "2027-01-31"), ("corvid", None)):
        contract = {
            "reference": f"C-{name}", "starts": "2025-01-01", "evidence_retention": "P7Y", "notify_within": "PT24H",
            "direct_evidence_access": True,
        } | ({"ends": ends} if ends else {})  # fmt: skip
        footprint = {"email_domains": [f"{name}.example"], "name_patterns": [f"{name}-*", f"{name} *"], "tags": {"partner": name}}
        entry = {
            "partner": {"id": name, "name": name.title()},
            "contract": contract,
            "footprint": footprint,
            "contacts": {"escalation": [f"ops@{name}.example"], "security": f"soc@{name}.example"},
        }
        (held / "partners" / f"{name}.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    settings = folder / "countersign.yaml"
    settings.write_text(re.sub(r"(max_\w+_share): [\d.]+", r"\1: 1", settings.read_text(encoding="utf-8")), encoding="utf-8")
    exports.write(folder / "exports", datetime.now(UTC) - timedelta(hours=1))
    (folder / "exports" / "aws" / "details.json").write_text(details(), encoding="utf-8")
    assert cli.answer(["reconcile", "-p", str(folder)]) in (1, 3)
    return folder


@pytest.fixture
def copied(mess: Path, tmp_path: Path) -> Path:
    shutil.copytree(mess, tmp_path / "northwind")
    return tmp_path / "northwind"


def told(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = cli.answer([*arguments, "-p", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_accepting_all_leaves_what_the_command_listed_and_the_next_run_agrees(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = told(capsys, copied, "findings", "--control", "workload-registered")[1]
    broken = {(problem["file"], problem["line"]) for problem in told(capsys, copied, "register", "check")[1]["problems"]}
    code, drafts = told(capsys, copied, "register", "draft")
    assert (code, len(before) > 5, len(drafts["workloads"]) > 5) == (1, True, True)
    assert {row["subject"] for row in before} <= {one.uid for one in search(load(copied), copied / "evidence" / "00000001", NOW).found}
    listed = {
        (f"register/{each['file']}", line["line"]) for each in (*drafts["workloads"], drafts["default_control"]) for line in each["decide"]
    }
    code, taken = told(capsys, copied, "register", "draft", "--accept")
    assert (code, taken["kept_out"], len(taken["accepted"])) == (1, [], len(drafts["workloads"]) + 1)
    assert not (copied / "register-draft").exists()
    after = {(problem["file"], problem["line"]) for problem in told(capsys, copied, "register", "check")[1]["problems"]}
    assert listed == {place for place in after - broken if place[0] != "register/controls"}
    code, again = told(capsys, copied, "register", "draft", "--dry-run")
    assert (code, again["workloads"], again["default_control"]) == (0, [], None)
    assert cli.answer(["reconcile", "-p", str(copied)]) in (1, 3)
    assert {row["subject"] for row in told(capsys, copied, "findings", "--control", "workload-registered")[1]} == set(again["unnamed"])


def test_a_pattern_catches_its_own_identity_and_no_other(mess: Path) -> None:
    names = {one.name: one.pattern for one in search(load(mess), mess / "evidence" / "00000001", NOW).found if one.scope == ACCOUNT}
    assert {
        "acme-backup": f"aws:{ACCOUNT}:user/acme-backup",
        "acme-*": f"aws:{ACCOUNT}:user/AIDA0000000000000002",
        "AIDA0000000000000001": f"aws:{ACCOUNT}:user/AIDA0000000000000003",
        "acme-" + "long" * 200: f"aws:{ACCOUNT}:user/AIDA0000000000000004",
        "orders": f"aws:{ACCOUNT}:user/orders",
    } == names
    azure = [one.pattern for one in search(load(mess), mess / "evidence" / "00000001", NOW).found if one.provider == "azure"]
    assert azure
    assert all(re.fullmatch(r"azure:[0-9a-f-]{36}:(application|service-principal)/[0-9a-f-]{36}", str(pattern)) for pattern in azure)


def test_what_somebody_changed_is_taken_as_it_is_and_nothing_is_written_over(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, copied, "register", "draft", "--partner", "acme")[0] == 1
    drafts = copied / "register-draft" / "workloads"
    mine = (drafts / "acme-backup.yaml").read_text(encoding="utf-8").replace("owner: maria", "owner: devika")
    (drafts / "acme-backup.yaml").write_text(mine, encoding="utf-8")
    taken_name = max(drafts.glob("*.yaml")).name
    (copied / "register" / "workloads" / taken_name).write_text("workload: other\nowner: maria\n", encoding="utf-8")
    assert told(capsys, copied, "register", "draft", "--partner", "acme")[0] == 2
    assert told(capsys, copied, "register", "draft", "--accept", "--partner", "acme")[0] == 2
    _, taken = told(capsys, copied, "register", "draft", "--accept")
    assert [f"register-draft/workloads/{taken_name}"] == [each["file"] for each in taken["kept_out"]]
    assert (copied / "register" / "workloads" / taken_name).read_text(encoding="utf-8") == "workload: other\nowner: maria\n"
    assert load(copied).register.workloads["acme-backup"].owner == "devika"


def test_a_draft_that_cannot_be_read_stops_all_of_them(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, copied, "register", "draft")
    (copied / "register-draft" / "workloads" / "zz.yaml").write_text("workload: zz\nowners: maria\n", encoding="utf-8")
    code, refused = told(capsys, copied, "register", "draft", "--accept")
    assert (code, [(each["file"], each["line"]) for each in refused["problems"]]) == (2, [("register-draft/workloads/zz.yaml", 2)])
    assert list((copied / "register" / "workloads").glob("*.yaml")) == []


def test_a_dry_run_writes_nothing_and_the_table_names_each_line(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(copied.rglob("*"))
    capsys.readouterr()
    assert cli.answer(["register", "draft", "-p", str(copied), "--dry-run"]) == 1
    out = capsys.readouterr().out
    assert before == sorted(copied.rglob("*"))
    assert re.search(r"^acme-backup +acme +\d+ +maria +tag nhi:owner=maria on aws:", out, re.MULTILINE)
    assert "register-draft/controls/default.yaml:6: owners.business: which of your people carries the risk?" in out
    assert all(char.isprintable() or char == "\n" for char in out)


def test_a_partner_or_run_that_there_is_not_is_refused(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, copied, "register", "draft", "--partner", "nobody")[0] == 2
    assert told(capsys, copied, "register", "draft", "--run", "nobody")[0] == 2
