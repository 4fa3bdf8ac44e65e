"""The list of vendors' accounts: what is wrong with it is said with its line, and what it says names a stranger without registering it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from countersign import facts, scaffold
from countersign.errors import ConfigError
from countersign.expectation import expectations
from countersign.identity import Identity, Trust
from countersign.inventory import collect, spool
from countersign.judge import judge
from countersign.programme import load
from countersign.reading import Scope

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
LIST = """\
# as the community writes it
- name: 'Datalynx'
  source: ['https://docs.datalynx.example/aws']
  accounts: ['342212345678', "012345678901"]
- name: 'ELB logs'
  type: 'aws'
  source: https://docs.aws.example/elb
  accounts: ['127311923021']
- name: 'Old Lynx'
  enabled: false
  deprecated_date: 2024-05-01
  accounts: ['342212345678']
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scaffold.init(tmp_path / "programme")
    with (tmp_path / "programme" / "countersign.yaml").open("a") as file:
        file.write("\nvendors: vendors.yaml\n")
    return tmp_path / "programme"


def test_an_account_has_its_vendor_s_name_and_where_two_claim_it_both(folder: Path) -> None:
    (folder / "vendors.yaml").write_text(LIST)
    vendors = load(folder).vendors
    assert vendors is not None
    assert {"342212345678": "Datalynx or Old Lynx", "012345678901": "Datalynx", "127311923021": "AWS: ELB logs"} == vendors.names
    assert "vendors.yaml" == vendors.file


def test_without_a_list_nobody_has_a_name(tmp_path: Path) -> None:
    scaffold.init(tmp_path / "programme")
    assert load(tmp_path / "programme").vendors is None


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("- {name: A, accounts: [123456789012]}", 1, "items.0.accounts.0", "quotes"),
        ("- {name: A, accounts: ['12345678901']}", 1, "items.0.accounts.0", "is not an AWS account number"),
        ("- name: A\n  accounts: ['123456789012']\n  kind: aws", 3, "items.0.kind", "is not a known key"),
        ("- name: A", 1, "items.0.accounts", "is missing"),
        ("- accounts: ['123456789012']", 1, "items.0.name", "is missing"),
        ("- {name: A, type: gcp, accounts: ['123456789012']}", 1, "items.0.type", "should be 'aws'"),
        ("- Datalynx", 1, "items.0", "should be a group of keys"),
        ("vendors: []", 1, "", "is not a list"),
        ("", None, "", "is empty"),
        ("- [", 2, "", "is not well-formed YAML"),
        ("- &a {name: A, accounts: ['123456789012']}\n- *a", 1, "", "uses a YAML anchor"),
        ("- {name: \"A\\e[31m\", accounts: ['123456789012']}", 1, "items.0.name", "holds a control character"),
    ],
)
def test_what_is_wrong_with_the_list_is_said_with_its_line(folder: Path, text: str, line: int | None, field: str, message: str) -> None:
    (folder / "vendors.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(folder)
    problem = caught.value.problems[0]
    assert ("vendors.yaml", line, field) == (problem.where.file, problem.where.line, problem.field)
    assert message in problem.message
    assert problem.fix


@pytest.mark.parametrize(
    ("said", "message"), [("nowhere.yaml", "names a file that does not exist"), ("[a.yaml]", "should be one piece of text")]
)
def test_what_is_wrong_with_the_setting_is_said_of_countersign_yaml(folder: Path, said: str, message: str) -> None:
    settings = folder / "countersign.yaml"
    settings.write_text(settings.read_text().replace("vendors: vendors.yaml", f"vendors: {said}"))
    with pytest.raises(ConfigError) as caught:
        load(folder)
    (problem,) = caught.value.problems
    assert ("countersign.yaml", "vendors") == (problem.where.file, problem.field.partition(".")[0])
    assert message in problem.message


def test_a_stranger_has_a_name_in_the_finding_and_is_one_all_the_same(folder: Path) -> None:
    (folder / "vendors.yaml").write_text(LIST)
    role = Identity(
        uid="aws:444455556666:role/AROA1", provider="aws", scope="444455556666", kind="role", native_id="AROA1", name="watch", track="machine",
        enabled=True, created_at=AS_OF, observed_at=AS_OF,
    )  # fmt: skip
    trusts = [
        Trust(identity_uid=role.uid, provider="aws", scope=role.scope, party_kind="aws-account", party=party, condition="sts:ExternalId")
        for party in ("342212345678", "999900001111")
    ]
    work = folder.parent
    readings = collect(
        [spool([role, *trusts], Scope("s", "aws", role.scope), work / "work", work / "seen")], work / "work", work / "inventory"
    )
    facts.build(work / "facts.duckdb", work / "inventory", facts.register_tables(load(folder), AS_OF), readings)
    judge(work / "facts.duckdb", [record for record in expectations() if record.id == "unknown-third-party"], readings)
    with facts.opened(work / "facts.duckdb") as db:
        found: Any = db.execute("SELECT reason, facts->>'vendor_names' FROM failures").fetchall()
    told = "trusts 342212345678 (Datalynx or Old Lynx, by vendors.yaml), 999900001111, which is neither the customer's own nor a registered partner's"
    assert [(told, "Datalynx or Old Lynx")] == found
