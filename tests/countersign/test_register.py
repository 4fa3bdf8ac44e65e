"""The register of the design documents loads and holds; every way to break it is named with file, line and fix."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign import document
from countersign.errors import ConfigError, Problem
from countersign.expectation import expectations
from countersign.register.check import RULES, check, control_of, notes
from countersign.register.exceptions import exception_valid
from countersign.register.load import load_register
from countersign.register.schema import schema

TODAY = date(2026, 11, 22)

FILES = {
    "customer.yaml": """\
customer: {id: northwind, name: Northwind plc, timezone: Europe/London, holidays: GB}
people:
  - {id: maria, name: Maria Keller, email: maria@northwind.example, active: true}
  - {id: dev, name: Dev Anand, active: true}
  - {id: soc, name: Security desk, active: true}
  - {id: lee, name: Lee Wong, active: false}
external_people: {partner: acme}        # who may operate, never approve
policies:
  human:   {max_idle: P90D, mfa: required, review_every: P180D}
  machine: {max_idle: P45D, rotate_within: {aws_access_key: P90D, entra_secret: P180D, vault_secret_id: P30D}, max_ttl: PT12H, overlap: P7D}
  environments: {production: {scopes: ["aws:444455556666"], machine: {max_idle: P30D}}, lab: {scopes: ["aws:777788889999"]}}
footprint: {aws_accounts: ["444455556666"], email_domains: [northwind.example]}
teams: {night: night@northwind.example}
exceptions: {max_span: P90D}
""",
    "partners/acme.yaml": """\
partner: {id: acme, name: Acme Managed Services}
contract: {reference: C1, starts: 2025-02-01, ends: 2027-01-31, evidence_retention: P7Y, notify_within: PT24H, direct_evidence_access: true}
contacts: {escalation: [ops@acme.example, +44…], security: soc@acme.example}
footprint:                              # how its identities are recognised, besides registration
  aws_accounts: ["111122223333"]
  entra_tenants: [3f0e…]
  gcp_projects: [acme-ops]
  oidc_issuers: ["https://token.acme.example"]
  email_domains: [acme.example]
  name_patterns: ["acme-*"]
  tags: {partner: acme}
""",
    "controls/rotation.yaml": """\
control: rotation-age
objective: Machine credentials are replaced before they are old enough to matter.
owners: {business: maria, technical: dev, operational: acme/pavel}
answers: {approves: maria, implements: acme, monitors: dev, revokes: dev}
raci:                                    # per life-cycle step; exactly one A, and A is a customer person
  provision: {R: acme, A: maria, C: [dev], I: [soc]}
  rotate:    {R: acme, A: maria, C: [dev], I: [soc]}
  review:    {R: dev,  A: maria, C: [],    I: [acme]}
  revoke:    {R: dev,  A: maria, C: [acme], I: [soc]}
fallback: dev
slas: {detect: PT24H, escalate: PT4H, rotate: P7D, revoke: PT1H}
evidence: [rotation history of two periods, approvals, last drill]
""",
    "workloads/acme-backup.yaml": """\
workload: acme-backup
partner: acme
owner: maria
backup_owner: dev
purpose: Nightly backup of the order database
environment: production
expires: 2026-12-31
identities: ["aws:*:user/acme-backup", "vault:prod:approle/acme-backup"]
reviews:
  - {by: lee, on: 2026-03-31}
  - {by: maria, on: 2026-09-30}
""",
    "incidents/INC-7.yaml": """\
incident: INC-7
declared_at: 2026-11-20T08:00:00Z
declared_by: dev
reason: A key was seen elsewhere
partner: acme
identities: ["aws:*:user/acme-backup"]
closed_at: 2026-11-21T08:00:00Z
""",
    "exceptions/EX-0012.yaml": """\
exception: EX-0012
control: rotation-age
subject: "aws:444455556666:access-key/AKIA…"
reason: …
compensating_control: …
exit_criteria: …
requested_by: acme/pavel
approved_by: maria
expires: 2026-12-01
approval: EX-0012.sig
approved_on: 2026-11-01
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    register = tmp_path / "register"
    for name, text in FILES.items():
        (register / name).parent.mkdir(parents=True, exist_ok=True)
        (register / name).write_text(text, encoding="utf-8")
    return register


def change(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(folder: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_register(folder)
    assert all(problem.message and problem.fix for problem in caught.value.problems)
    return caught.value.problems


def test_the_register_of_the_design_loads_and_holds(folder: Path) -> None:
    register = load_register(folder)

    assert check(register, TODAY, signer="file:keys/evidence.pem", known_controls={"rotation-age"}) == ()
    assert register.customer.name == "Northwind plc"
    assert register.external_people == ("acme",)
    assert register.policies.machine.rotate_within["vault_secret_id"] == timedelta(days=30)
    assert (register.policies.human.overlap, register.policies.human.grace) == (None, timedelta(minutes=15))
    assert register.partners["acme"].contract.ends == date(2027, 1, 31)
    assert register.partners["acme"].footprint.aws_accounts == ("111122223333",)
    assert register.controls["rotation-age"].answers.monitors == ("dev",)
    assert register.controls["rotation-age"].raci.revoke is not None
    assert register.controls["rotation-age"].raci.revoke.C == ("acme",)
    assert register.workloads["acme-backup"].identities[1] == "vault:prod:approle/acme-backup"
    assert register.exceptions["EX-0012"].requested_by == "acme/pavel"


def test_every_field_knows_its_line(folder: Path) -> None:
    register = load_register(folder)

    assert str(register.where("workload", "acme-backup", "identities.1")) == "register/workloads/acme-backup.yaml:8"
    assert str(register.where("control", "rotation-age", "raci.review.A")) == "register/controls/rotation.yaml:8"
    assert str(register.where("control", "rotation-age", "raci.review.nothing")) == "register/controls/rotation.yaml:8"
    assert str(register.where("person", "dev", "active")) == "register/customer.yaml:4"
    assert str(register.where("customer", "northwind", "policies.machine.overlap")) == "register/customer.yaml:10"
    assert str(register.where("control", "nowhere")) == "register"


def test_the_digest_covers_every_file_and_its_name(folder: Path) -> None:
    digests = {load_register(folder).digest}
    (folder / "exceptions/EX-0012.sig").write_text("signature", encoding="utf-8")
    digests.add(load_register(folder).digest)
    change(folder, "controls/rotation.yaml", "objective:", "objective: ")
    digests.add(load_register(folder).digest)
    (folder / "controls/rotation.yaml").rename(folder / "controls/rotation-age.yaml")
    digests.add(load_register(folder).digest)
    assert len(digests) == 4
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests)
    (folder / ".swap").write_text("an editor's", encoding="utf-8")
    assert load_register(folder).digest in digests


PARTNER, CONTROL, WORKLOAD, INCIDENT, EXCEPTION = (name for name in FILES if name != "customer.yaml")

BROKEN = [
    # rule, file, old text, new text, line of the problem
    ("owner-business", CONTROL, "business: maria, ", "", 3),
    ("owner-business", CONTROL, "business: maria", "business: acme/pavel", 3),
    ("owner-technical", CONTROL, "technical: dev", "technical: acme", 3),
    ("owner-operational", CONTROL, ", operational: acme/pavel", "", 3),
    ("owner-operational", CONTROL, "acme/pavel", "acme", 3),
    ("unknown-name", CONTROL, "acme/pavel", "acmee/pavel", 3),
    ("unknown-name", CONTROL, "technical: dev", "technical: deb", 3),
    ("answer-approves", CONTROL, "approves: maria, ", "", 4),
    ("answer-implements", CONTROL, "implements: acme, ", "", 4),
    ("answer-monitors", CONTROL, "monitors: dev, ", "", 4),
    ("answer-revokes", CONTROL, "revokes: dev", "revokes: acme", 4),
    ("partner-approves-own-work", CONTROL, "approves: maria", "approves: acme/pavel", 4),
    ("partner-monitors-own-work", CONTROL, "monitors: dev", "monitors: [acme, acme/pavel]", 4),
    ("raci-step", CONTROL, "  review:    {R: dev,  A: maria, C: [],    I: [acme]}\n", "", 5),
    ("raci-responsible", CONTROL, "review:    {R: dev,", "review:    {", 8),
    ("raci-accountable", CONTROL, "rotate:    {R: acme, A: maria,", "rotate:    {R: acme,", 7),
    ("raci-accountable", CONTROL, "rotate:    {R: acme, A: maria", "rotate:    {R: acme, A: acme", 7),
    ("unknown-name", CONTROL, "I: [acme]", "I: [acne]", 8),
    ("fallback", CONTROL, "fallback: dev", "fallback:", 10),
    ("slas", CONTROL, "escalate: PT4H, ", "", 11),
    ("unknown-control", CONTROL, "control: rotation-age", "control: rotation-aeg", 1),
    ("contract-dates", PARTNER, "starts: 2025-02-01", "starts: 2027-02-01", 2),
    ("contract-retention", PARTNER, "evidence_retention: P7Y, ", "", 2),
    ("contract-notification", PARTNER, "notify_within: PT24H, ", "", 2),
    ("contract-evidence-access", PARTNER, ", direct_evidence_access: true", "", 2),
    ("contract-evidence-access", PARTNER, "access: true", "access: false", 2),
    ("unknown-name", WORKLOAD, "partner: acme\n", "partner: amce\n", 2),
    ("workload-owner", WORKLOAD, "backup_owner: dev", "backup_owner: night", 4),
    ("workload-owner", WORKLOAD, "backup_owner: dev", "backup_owner: acme/pavel", 4),
    ("workload-purpose", WORKLOAD, "Nightly backup of the order database", "''", 5),
    ("workload-expiry", WORKLOAD, "expires: 2026-12-31\n", "", 1),
    ("workload-expiry", WORKLOAD, "expires: 2026-12-31", "expires: 2027-02-01", 7),
    ("exception-control", EXCEPTION, "control: rotation-age", "control: rotation-ages", 2),
    ("exception-approver", EXCEPTION, "approved_by: maria", "approved_by: acme/pavel", 8),
    ("exception-approver", EXCEPTION, "approved_by: maria", "approved_by: dev", 8),
    ("exception-approver", EXCEPTION, "requested_by: acme/pavel", "requested_by: maria", 8),
    ("exception-requester", EXCEPTION, "requested_by: acme/pavel\n", "", 1),
    ("exception-expired", EXCEPTION, "2026-12-01", "2026-11-21", 9),
    ("exception-reason", EXCEPTION, "reason: …", "reason: ' '", 4),
    ("exception-compensating-control", EXCEPTION, "compensating_control: …", "compensating_control: null", 5),
    ("exception-exit-criteria", EXCEPTION, "exit_criteria: …", "exit_criteria: ~", 6),
    ("name-clash", "customer.yaml", "teams: {night:", "teams: {dev:", 13),
    ("person-mailbox", "customer.yaml", "id: soc, name: Security desk", "id: soc, name: Security desk, email: soc@eu.acme.example", 5),
    ("policy-environments", "customer.yaml", "777788889999", "444455556666", 11),
    ("owner-operational", CONTROL, "acme/pavel", "night", 3),
    ("fallback", CONTROL, "fallback: dev", "fallback: acme/pavel", 10),
    ("raci-accountable", CONTROL, "review:    {R: dev,  A: maria", "review:    {R: dev,  A: night", 8),
    ("raci-responsible", CONTROL, "review:    {R: dev", "review:    {R: lee", 8),
    ("answer-implements", CONTROL, "implements: acme", "implements: lee", 4),
    ("answer-monitors", CONTROL, "monitors: dev", "monitors: [lee]", 4),
    ("answer-revokes", CONTROL, "revokes: dev", "revokes: night", 4),
    ("partner-monitors-own-work", CONTROL, "monitors: dev", "monitors: [acme/pavel, lee]", 4),
    ("partner-monitors-own-work", CONTROL, "implements: acme, monitors: dev", "implements: dev, monitors: acme", 4),
    ("footprint-clash", PARTNER, '["111122223333"]', '["444455556666"]', 5),
    ("footprint-clash", PARTNER, "[acme.example]", "[acme.example, Northwind.Example]", 9),
    ("policy-looser", PARTNER, "  tags: {partner: acme}", "  tags: {partner: acme}\npolicies: {machine: {max_idle: P46D}}", 12),
    ("policy-looser", WORKLOAD, "environment: production", "environment: production\npolicies: {machine: {max_idle: P31D}}", 7),
    ("workload-owner", WORKLOAD, "backup_owner: dev", "backup_owner: maria", 4),
    ("workload-environment", WORKLOAD, "environment: production", "environment: Prodution", 6),
    ("workload-identities", WORKLOAD, '["aws:*:user/acme-backup", "vault:prod:approle/acme-backup"]', "[]", 8),
    ("workload-review", WORKLOAD, "on: 2026-09-30", "on: 2026-11-23", 11),
    ("workload-review", WORKLOAD, "by: maria, on", "by: soc, on", 11),
    ("workload-review", WORKLOAD, "by: maria, on", "by: acme/pavel, on", 11),
    ("workload-review", WORKLOAD, "by: lee, on", "by: acme/pavel, on", 10),
    ("exception-names", EXCEPTION, "requested_by: acme/pavel", "requested_by: acme/pa/vel".replace("/pa/vel", "e/pavel"), 7),
    ("exception-approved-on", EXCEPTION, "approved_on: 2026-11-01", "approved_on: 2026-11-23", 11),
    ("exception-span", EXCEPTION, "approved_on: 2026-11-01", "approved_on: 2026-08-01", 9),
    ("exception-renewal", EXCEPTION, "approval: EX-0012.sig", "renews: EX-0012", 10),
    ("exception-subject", EXCEPTION, "aws:444455556666:access-key/AKIA…", "register:northwind:workload/acme-backups", 3),
    ("incident-declarer", INCIDENT, "declared_by: dev", "declared_by: acme/pavel", 3),
    ("incident-dates", INCIDENT, "2026-11-20T08:00:00Z", "2026-11-21T09:00:00Z", 7),
    ("incident-dates", INCIDENT, "2026-11-21T08:00:00Z", "2026-11-23T08:00:00Z", 7),
    ("incident-target", INCIDENT, 'partner: acme\nidentities: ["aws:*:user/acme-backup"]\n', "", 1),
    ("unknown-name", INCIDENT, "partner: acme", "partner: acmee", 5),
    ("unknown-name", "customer.yaml", "{partner: acme}", "[{partner: acme}, {partner: acne}]", 7),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case[0])
def test_a_broken_rule_is_said_with_its_line(folder: Path, case: tuple[str, str, str, str, int]) -> None:
    rule, file, old, new, line = case
    change(folder, file, old, new)
    known = {"rotation-age"} if rule == "unknown-control" else None

    problems = check(load_register(folder), TODAY, known_controls=known)

    told = [problem for problem in problems if problem.where.file == f"register/{file}"]
    assert [(problem.rule, problem.where.line) for problem in told] == [(rule, line)], problems
    assert all(problem.message and problem.fix for problem in problems)


def test_every_rule_was_broken_once() -> None:
    elsewhere = {"evidence-key", "exception-signature", "allowed-signers"}
    assert {rule for rule, *_ in BROKEN} | elsewhere == set(RULES)


def test_every_rule_belongs_to_one_control_that_is_judged() -> None:
    assert {control_of(rule) for rule in RULES} == {record.id for record in expectations() if record.subjects == ("register",)}


def test_two_people_with_one_mailbox_are_told_at_both(folder: Path) -> None:
    change(folder, "customer.yaml", "id: dev, name: Dev Anand", "id: dev, name: Dev Anand, email: ' Maria@Northwind.example'")
    problems = check(load_register(folder), TODAY)
    assert [("person-mailbox", 3), ("person-mailbox", 4)] == [(problem.rule, problem.where.line) for problem in problems]


def test_a_mailbox_at_a_partner_makes_nobody_the_customers(folder: Path) -> None:
    change(folder, "customer.yaml", "night@northwind.example", "night@acme.example")
    change(folder, CONTROL, "monitors: dev", "monitors: [night]")
    (problem,) = check(load_register(folder), TODAY)
    assert ("partner-monitors-own-work", 'partner "acme" implements the control and alone monitors it') == (problem.rule, problem.message)

    change(folder, "customer.yaml", "email: maria@northwind.example", "email: maria@acme.example")
    told = {problem.rule for problem in check(load_register(folder), TODAY)}
    assert {"person-mailbox", "partner-approves-own-work", "partner-monitors-own-work", "exception-approver"} == told


def test_a_partner_whose_contract_is_over_does_nothing_any_more(folder: Path) -> None:
    change(folder, PARTNER, "ends: 2027-01-31", "ends: 2026-11-21")
    change(folder, WORKLOAD, "expires: 2026-12-31", "expires: 2026-11-21")

    problems = check(load_register(folder), TODAY)

    assert [("owner-operational", 3), ("answer-implements", 4), ("raci-responsible", 6), ("raci-responsible", 7)] == [
        (problem.rule, problem.where.line) for problem in problems
    ]
    assert problems[0].message == '"acme/pavel" is of a partner whose contract ended on 2026-11-21'
    assert check(load_register(folder), date(2026, 11, 21)) == ()  # its last day


def test_what_two_parties_claim_is_told_at_each_however_it_is_written(folder: Path) -> None:
    text = (folder / PARTNER).read_text(encoding="utf-8")
    other = text.replace("acme", "corvid").replace("C1", "C2").replace("111122223333", "999988887777").replace("3f0e…", "4f0e…")
    other = other.replace("https://token.corvid.example", "HTTP://Token.Acme.example/").replace("{partner: corvid}\n", "{partner: acme}\n")
    (folder / "partners/corvid.yaml").write_text(other, encoding="utf-8")

    problems = check(load_register(folder), TODAY)

    assert {"footprint-clash"} == {problem.rule for problem in problems}
    assert [(f"register/partners/{name}.yaml", line) for name in ("acme", "corvid") for line in (8, 11)] == [
        (problem.where.file, problem.where.line) for problem in problems
    ]
    assert 'the issuer "https://token.acme.example" is claimed by partner "corvid" as well' == problems[0].message


def test_a_looser_limit_needs_an_exception_and_says_which(folder: Path) -> None:
    change(folder, WORKLOAD, "environment: production", "environment: production\npolicies: {machine: {max_idle: P31D}}")
    (problem,) = check(load_register(folder), TODAY)
    assert "31 days is looser than the limit of 30 days, which stays in force" == problem.message
    assert "an exception approved from inactive for register:northwind:workload/acme-backup" in problem.fix

    allowed = FILES[EXCEPTION].replace("EX-0012", "EX-0013").replace("control: rotation-age", "control: inactive")
    allowed = re.sub("subject: .*", "subject: register:northwind:workload/acme-backup", allowed)
    (folder / "exceptions/EX-0013.yaml").write_text(allowed, encoding="utf-8")
    control = FILES[CONTROL].replace("control: rotation-age", "control: default")
    (folder / "controls/default.yaml").write_text(control, encoding="utf-8")
    assert check(load_register(folder), TODAY, known_controls=["rotation-age", "inactive"]) == ()

    misspelt = allowed.replace("control: inactive", "control: inactiv")
    (folder / "exceptions/EX-0013.yaml").write_text(misspelt, encoding="utf-8")
    (wrong, _) = check(load_register(folder), TODAY, known_controls=["rotation-age", "inactive"])
    assert ("exception-control", "did you mean `inactive`?") == (wrong.rule, wrong.fix)  # though `default` would govern it


def test_one_pattern_in_two_workloads_is_told_at_both(folder: Path) -> None:
    (folder / "workloads/more.yaml").write_text(FILES[WORKLOAD].replace("workload: acme-backup", "workload: more"), encoding="utf-8")
    problems = check(load_register(folder), TODAY)
    assert {"workload-identities"} == {problem.rule for problem in problems}
    assert 4 == len(problems)


@pytest.mark.parametrize("name", ["staging", "production-eu", "prod-1", "lab2"])
def test_an_environment_without_limits_of_its_own_is_fine(folder: Path, name: str) -> None:
    change(folder, WORKLOAD, "environment: production", f"environment: {name}")
    assert check(load_register(folder), TODAY) == ()


def test_what_breaks_no_rule_is_a_note(folder: Path) -> None:
    change(folder, EXCEPTION, "approved_by: maria\n", "")
    change(folder, EXCEPTION, "approval: EX-0012.sig\napproved_on: 2026-11-01\n", "")
    register = load_register(folder)

    assert check(register, TODAY) == ()
    alone, asked = notes(register, TODAY, known_controls=["rotation-age", "inactive", "human-mfa"])
    assert "2 judged controls have no entry, so nobody answers for what fails them: human-mfa, inactive" == alone.message
    assert ("exception-requested", f"register/{EXCEPTION}:1") == (asked.rule, str(asked.where))

    (folder / "controls/default.yaml").write_text(FILES[CONTROL].replace("control: rotation-age", "control: default"), encoding="utf-8")
    assert [asked] == list(notes(load_register(folder), TODAY, known_controls=["rotation-age", "inactive"]))


def test_a_vault_where_a_partner_works_may_not_sign(folder: Path) -> None:
    (problem,) = check(load_register(folder), TODAY, signer="hv:evidence")
    assert (problem.rule, problem.where.file) == ("evidence-key", "countersign.yaml")


def test_a_leaver_is_found_wherever_they_stand(folder: Path) -> None:
    change(folder, "customer.yaml", "email: maria@northwind.example, active: true", "active: false")

    problems = check(load_register(folder), TODAY)

    assert [(problem.rule, str(problem.where)) for problem in problems] == [
        ("owner-business", f"register/{CONTROL}:3"),
        ("answer-approves", f"register/{CONTROL}:4"),
        ("raci-accountable", f"register/{CONTROL}:6"),
        ("raci-accountable", f"register/{CONTROL}:7"),
        ("raci-accountable", f"register/{CONTROL}:8"),
        ("raci-accountable", f"register/{CONTROL}:9"),
        ("exception-approver", f"register/{EXCEPTION}:8"),
        ("workload-owner", f"register/{WORKLOAD}:3"),
        ("workload-review", f"register/{WORKLOAD}:11"),
    ]


def test_a_partners_people_need_leave_to_be_named(folder: Path) -> None:
    change(folder, "customer.yaml", "external_people: {partner: acme} ", "")
    assert {problem.rule for problem in check(load_register(folder), TODAY)} == {"unknown-name", "exception-names"}


def test_names_that_are_almost_right_are_recognised(folder: Path) -> None:
    change(folder, WORKLOAD, "partner: acme\n", "partner: acmee\n")
    (problem,) = check(load_register(folder), TODAY)
    assert problem.message == 'there is no partner called "acmee"'
    assert problem.fix.startswith("did you mean `acme`?")


def test_an_exception_holds_to_the_end_of_its_day_in_the_customers_zone(folder: Path) -> None:
    change(folder, "customer.yaml", "Europe/London", "America/New_York")
    register = load_register(folder)
    exception = register.exceptions["EX-0012"]
    end = register.end_of(exception.expires)

    assert end == datetime(2026, 12, 2, 5, tzinfo=UTC)
    assert exception_valid(register, exception, end - timedelta(microseconds=1)) is None
    assert exception_valid(register, exception, end) == "expires: the exception expired on 2026-12-01"


SECRET = "hvs/CAESIJ/do-not-print"

WRONG = [
    # file, old text, new text, place and field and part of the message and of the fix
    (CONTROL, "fallback:", "fall_back:", 10, "fall_back", "not a known key", "did you mean `fallback`?"),
    (CONTROL, "{R: acme, A: maria,", "{R: acme, a: maria,", 6, "raci.provision.a", "not a known key", "R, A, C, I"),
    (CONTROL, "A: maria", "A: [maria, dev]", 6, "raci.provision.A", "exactly one", "keep one name"),
    (CONTROL, "P7D", "P1M", 11, "slas.rotate", "not a duration", "P90D"),
    (CONTROL, "P7D", "P99999999999999D", 11, "slas.rotate", "not a duration", "P90D"),
    (CONTROL, "P7D", "7", 11, "slas.rotate", "not a duration", "P90D"),
    (CONTROL, "P7D", "P36526D", 11, "slas.rotate", "longer than a hundred years", "leave it out"),
    (CONTROL, "control: rotation-age", "control: [rotation-age]", 1, "control", "one piece of text", "single value"),
    (CONTROL, "business: maria", "business: 'ma ria'", 3, "owners.business", "not a name", "partner/person"),
    (CONTROL, "fallback: dev", "fallback: dev\nfallback: maria", 11, "fallback", "twice; the first is on line 10", "delete one"),
    (CONTROL, "fallback: dev", "\tfallback: dev", 10, "", "tab", "spaces"),
    (CONTROL, "fallback: dev", "fallback: &x dev", 10, "", "anchor or alias", "write the value out"),
    (CONTROL, "fallback: dev", "fallback: *x", 10, "", "anchor or alias", "write the value out"),
    (CONTROL, "fallback: dev", "fallback: !!python/name:os.system dev", 10, "fallback", "YAML tag", "remove the tag"),
    (CONTROL, "fallback: dev", 'fallback: "de\\x1bv"', 10, "fallback", "control character", "remove"),
    (CONTROL, "fallback: dev", "fallback: [dev", 11, "", "not well-formed YAML", "brackets"),
    (CONTROL, "fallback: dev", "---\nfallback: dev", 10, "", "not well-formed YAML", "check"),
    (PARTNER, '"111122223333"', "111122223333", 5, "footprint.aws_accounts.0", "loses leading zeros", "quote it"),
    (PARTNER, '"111122223333"', '"1111-2222-3333"', 5, "footprint.aws_accounts.0", "not an AWS account number", "12 digits"),
    (PARTNER, '["acme-*"]', '["*"]', 10, "footprint.name_patterns.0", "matches every name", "acme-*"),
    (PARTNER, "ends: 2027-01-31", "ends: 2027-02-29", 2, "contract.ends", "not a day", "2026-12-31"),
    (PARTNER, "ends: 2027-01-31", "ends: 31.1.2027", 2, "contract.ends", "not a day", "2026-12-31"),
    (PARTNER, "P7Y", "7 years", 2, "contract.evidence_retention", "not a period", "P7Y"),
    (PARTNER, "access: true", "access: 'yes'", 2, "contract.direct_evidence_access", "true or false", "without quotes"),
    (PARTNER, "reference: C1", "reference: 2041", 2, "contract.reference", "reads it as a number", "in quotes"),
    (PARTNER, "starts: 2025-02-01, ", "", 2, "contract.starts", "missing", "add `starts:`"),
    (PARTNER, "contacts:", "contract: 1\ncontacts:", 3, "contract", "twice", "delete"),
    ("customer.yaml", "Europe/London", "Europe/Lodon", 1, "customer.timezone", "time zone", "IANA"),
    ("customer.yaml", "Europe/London", "../../etc/passwd", 1, "customer.timezone", "time zone", "IANA"),
    ("customer.yaml", "holidays: GB", "holidays: NO", 1, "customer.holidays", "true or false", "in quotes"),
    (
        "customer.yaml",
        "aws_access_key",
        "aws_acces_key",
        10,
        "policies.machine.rotate_within.aws_acces_key",
        "not a kind",
        "`aws_access_key`",
    ),
    ("customer.yaml", "aws_access_key", "ssh_key", 10, "policies.machine.rotate_within.ssh_key", "not a kind", "vault_database_role"),
    ("customer.yaml", "holidays: GB", "footprint: {}", 1, "customer.footprint", "not a known key", "one level up"),
    ("customer.yaml", "id: dev", "id: maria", 4, "", 'already a person called "maria", at register/customer.yaml:3', "another id"),
    (WORKLOAD, "aws:*:user/acme-backup", "*:*:user/acme-backup", 8, "identities.0", "not a pattern", "provider:scope:kind/name"),
    (WORKLOAD, "aws:*:user/acme-backup", "aws:*:*/acme-backup", 8, "identities.0", "not a pattern", "provider:scope:kind/name"),
    (WORKLOAD, "aws:*:user/acme-backup", "acme-backup", 8, "identities.0", "not a pattern", "provider:scope:kind/name"),
    (WORKLOAD, "expires: 2026-12-31", "expires: 2026-12-31T00:00:00Z", 7, "expires", "not a day", "2026-12-31"),
    (EXCEPTION, "EX-0012.sig", "../../keys/evidence.pem", 10, "approval", "not a file name", "beside"),
    (EXCEPTION, "expires: 2026-12-01\n", "", 1, "expires", "missing", "add `expires:`"),
]


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_said_with_file_line_field_and_fix(folder: Path, case: tuple[str, str, str, int, str, str, str]) -> None:
    file, old, new, line, field, message, fix = case
    change(folder, file, old, new)

    (problem,) = refused(folder)

    assert (problem.where.file, problem.where.line, problem.field) == (f"register/{file}", line, field)
    assert message in problem.message
    assert fix in problem.fix


def test_all_mistakes_of_all_files_are_said_at_once(folder: Path) -> None:
    change(folder, "customer.yaml", "active: true", "active: maybe")
    change(folder, CONTROL, "fallback:", "fallbak:")
    change(folder, CONTROL, "PT4H", "4 hours")
    (folder / "exceptions/empty.yaml").write_text("# nothing yet\n", encoding="utf-8")
    (folder / "workloads/list.yaml").write_text("- a\n- b\n", encoding="utf-8")
    (folder / "partners/latin.yaml").write_bytes("partner:\n  name: Müller".encode("latin-1"))

    assert [(str(problem.where), problem.field) for problem in refused(folder)] == [
        (f"register/{CONTROL}:10", "fallbak"),
        (f"register/{CONTROL}:11", "slas.escalate"),
        ("register/customer.yaml:3", "people.0.active"),
        ("register/exceptions/empty.yaml", ""),
        ("register/partners/latin.yaml:2", ""),
        ("register/workloads/list.yaml:1", ""),
    ]


def test_nothing_in_the_folder_is_overlooked(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.yaml").write_text("control: x\n", encoding="utf-8")
    (folder / "controls/linked.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    (folder / "controls/inside.md").symlink_to(folder / "customer.yaml")
    (folder / "controls/more").mkdir()
    (folder / "controls/other.yml").write_text("control: x\n", encoding="utf-8")
    (folder / "partner").mkdir()
    (folder / "extra.yaml").write_text("control: x\n", encoding="utf-8")
    shutil.copy(folder / CONTROL, folder / "controls/copy.yaml")

    assert [(problem.where.file, problem.fix) for problem in refused(folder)] == [
        ("register/controls/linked.yaml", "put the file itself here"),
        ("register/controls/more", "move its files up into controls/"),
        ("register/controls/other.yml", "rename it to other.yaml"),
        ("register/controls/rotation.yaml", "give it another id, or delete one of the two"),
        ("register/extra.yaml", "move it into partners/, controls/, workloads/, exceptions/ or incidents/"),
        ("register/partner", "rename it to partners/"),
    ]


def test_a_missing_register_says_where_to_begin(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path / "register")
    assert (str(problem.where), problem.message) == ("register/customer.yaml", "is missing")
    assert "countersign init" in problem.fix


@pytest.mark.parametrize("field", ["control", "fallback", "slas", "raci", "answers", "owners"])
@pytest.mark.parametrize("written", ["'{}'", "[{}", "{}: {}: {}", "&a {}", "!{} x", "[[{}]]", "{{x: {}}}"])
def test_a_value_is_never_repeated(folder: Path, field: str, written: str) -> None:
    control = {**yaml.safe_load(FILES[CONTROL]), field: "PLACE"}
    text = yaml.safe_dump(control).replace("PLACE", written.format(SECRET, SECRET, SECRET))
    (folder / CONTROL).write_text(text, encoding="utf-8")
    assert SECRET not in "".join(map(str, refused(folder)))


def test_a_bomb_and_a_pipe_are_refused_at_once(folder: Path) -> None:
    (folder / CONTROL).write_text("control: " + "[" * 50_000, encoding="utf-8")
    (folder / WORKLOAD).write_text("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", encoding="utf-8")
    (folder / PARTNER).write_text("x" * 1_000_001, encoding="utf-8")
    (folder / EXCEPTION).unlink()
    os.mkfifo(folder / EXCEPTION)
    assert [problem.message for problem in refused(folder)] == [
        "is nested more than 20 levels deep",
        "is not a regular file",
        "is larger than 1 MB",
        "uses a YAML anchor or alias (& or *)",
    ]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_read_or_refused_in_words(data: bytes) -> None:
    problems: list[Problem] = []
    read = document.parse(data, "any.yaml", problems)
    assert (read is not None) or problems
    assert all(problem.message and problem.fix and (problem.where.line or 1) >= 1 for problem in problems)
    assert all(char.isprintable() or char == "\n" for problem in problems for char in str(problem))


JUNK: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.builds(list) | st.builds(lambda: {"x": SECRET})
    | st.builds(lambda: [SECRET, [SECRET]])
)  # fmt: skip


@given(st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_written_is_refused_in_words_or_judged(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FILES)))
    written = yaml.load(FILES[name], Loader=_JsonLoader)  # noqa: S506 it is a SafeLoader
    for _ in range(data.draw(st.integers(1, 4))):
        holder, key = written, data.draw(st.sampled_from(sorted(written)))
        while isinstance(holder[key], dict) and holder[key] and data.draw(st.booleans()):
            holder = holder[key]
            key = data.draw(st.sampled_from(sorted(holder)))
        holder[key] = data.draw(JUNK)
    with TemporaryDirectory() as folder:
        for file, text in FILES.items():
            (Path(folder) / file).parent.mkdir(exist_ok=True)
            (Path(folder) / file).write_text(yaml.safe_dump(written) if file == name else text, encoding="utf-8")
        try:
            problems = check(load_register(Path(folder)), TODAY)
        except ConfigError as error:
            problems = error.problems
    assert SECRET not in "".join(map(str, problems))
    assert all(problem.message and problem.fix and problem.rule in {"syntax", *RULES} for problem in problems)


def test_the_schemas_take_what_the_loader_takes() -> None:
    for name, text in FILES.items():
        kind = name if name == "customer.yaml" else f"{Path(name).parent}/*.yaml"
        plain = yaml.load(text, Loader=_JsonLoader)  # noqa: S506 it is a SafeLoader
        jsonschema.Draft202012Validator(schema()[kind]).validate(plain)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema()[kind]).validate(plain | {"unheard_of": 1})


class _JsonLoader(yaml.SafeLoader):
    """Leaves dates as text, since JSON has none, and the key `on`, which YAML 1.1 takes for a boolean."""

    yaml_implicit_resolvers = {  # noqa: RUF012 PyYAML's own class attribute
        first: [
            (tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp") and (first != "o" or not tag.endswith("bool"))
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
