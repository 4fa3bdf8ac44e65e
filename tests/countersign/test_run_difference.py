"""Two sealed runs side by side: what changed, what is gone by proof, and what nobody looked at."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign import facts, findings_file, run_evidence
from countersign.clock import stamp
from countersign.errors import EvidenceError
from countersign.evidence import signer, statement
from countersign.evidence.store import FolderStore, Log
from countersign.finding import Known, Transition
from countersign.identity import Coverage, Grant, Provenance, Trust
from countersign.inventory import collect, spool, unread
from countersign.reading import Scope
from countersign.register.records import Contract, Footprint, Partner, Person, Policies, Policy, Workload
from countersign.run_difference import Change, NoSuchPartnerError, NoSuchRunError, compared, pair, said
from tests.countersign.test_facts import AS_OF, DAY, SCOPE, key, register, user

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from countersign.identity import Record
    from countersign.register.records import Register

OTHER = Scope("aws", "aws", "555566667777")
HELD = Partner(
    id="acme",
    name="Acme",
    contract=Contract(reference="C-1", starts=date(2024, 1, 1), ends=date(2027, 6, 30)),
    footprint=Footprint(name_patterns=("acme-*",)),
)
HOSTILE = "<img src=x>\x1b[2J=cmd|' /C calc'!A0"


def listing(operation: str = "iam:GetAccountAuthorizationDetails", covers: tuple[str, ...] = ("user", "role"), **changes: Any) -> Coverage:
    told: dict[str, Any] = {
        "source": "aws", "provider": "aws", "scope": "444455556666", "operation": operation, "state": "complete", "covers": covers,
        "started": AS_OF, "finished": AS_OF,
    }  # fmt: skip
    return Coverage(**(told | changes))


WHOLE = (listing(), listing("iam:GetCredentialReport", ("access-key",)))
SAID = (
    Provenance(provider="aws", scope="444455556666", kind="user", field="*", call="iam:GetAccountAuthorizationDetails", at=AS_OF),
    Provenance(provider="aws", scope="444455556666", kind="user", field="mfa", call="iam:GetCredentialReport", at=AS_OF + DAY),
    Provenance(provider="aws", scope="444455556666", kind="user", field="grants", call="iam:GetAccountAuthorizationDetails", at=AS_OF),
)


class Nights:
    """An evidence folder with a key, and as many sealed runs as are asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, folder / "evidence"
        self.key = signer.keygen(folder / "evidence.pem")
        self.count = 0

    def seal(  # noqa: PLR0913 - what one night may have been like
        self,
        records: Iterable[Record],
        findings: Iterable[Known] = (),
        *,
        held: Register | None = None,
        only: tuple[str, ...] = (),
        dark: str | None = None,
        as_of: datetime | None = None,
    ) -> str:
        """Seal a run of what was read; `dark`: a second account, and why it was not read."""
        self.count += 1
        store, when = FolderStore(self.store, origin="northwind"), as_of or AS_OF + (self.count - 1) * DAY
        staging = store.stage(f"run-{self.count}")
        work, inventory = self.folder / f"work-{self.count}", staging.folder / "inventory"
        readings = [spool([*records, *SAID], SCOPE, work, staging.folder / "observations")]
        if dark is not None:
            readings.append(unread(OTHER, "denied", "sts:AssumeRole", dark, started=when, finished=when, work=work))
        settled = collect(readings, work, inventory)
        programme: Any = SimpleNamespace(register=held or register(), sources=(), vendors=None)
        if held is not None:
            facts.write_register(facts.register_tables(programme, when), inventory)
        database = work / "run.duckdb"
        with duckdb.connect(str(database)) as db:
            db.execute("CREATE TABLE run AS SELECT ?::TIMESTAMP AS as_of", [when.replace(tzinfo=None)])
            db.execute("CREATE TABLE failures (fingerprint VARCHAR, scope VARCHAR, facts JSON, sources JSON)")
            told = [
                (
                    row.fingerprint,
                    row.scope,
                    row.ticket_key,
                    '[{"fact": "created_at", "call": "iam:ListAccessKeys", "at": "2026-11-22T01:00:00Z"}]',
                )
                for row in findings
            ]
            db.executemany("INSERT INTO failures VALUES (?, ?, ?, ?)", told or [(None, None, None, None)])
        findings_file.write(staging.folder / findings_file.NAME, database, (Transition("new", None, row) for row in findings), None)
        said_ = {
            **run_evidence.settled(settled, (), {}, {}, None), "asOf": stamp(when), "limitedTo": list(only), "configurationDigest": "sha256:1",
            "registerDigest": programme.register.digest, "code": {"version": "0", "commit": None},
        }  # fmt: skip

        def build(log: Log) -> dict[str, Any]:
            return statement.build(
                run=f"run-{self.count}",
                kind="reconcile",
                slot=None,
                started=when,
                finished=when,
                subjects=log.subjects,
                predicate_extra=said_,
                log=log.entry(),
            )

        return store.seal(staging, build, signer.load(f"file:{self.folder / 'evidence.pem'}")).path.name

    def fail(self) -> str:
        """Seal a run that came to no verdicts."""
        self.count += 1
        store = FolderStore(self.store, origin="northwind")
        with store.stage(f"run-{self.count}") as staging:
            (staging.folder / "failure.json").write_text("{}")
            return store.seal(
                staging,
                lambda log: statement.build(
                    run=f"run-{self.count}",
                    kind="failed",
                    slot=None,
                    started=AS_OF,
                    finished=AS_OF,
                    subjects=log.subjects,
                    predicate_extra={"error": "out of disk"},
                    log=log.entry(),
                ),
                signer.load(f"file:{self.folder / 'evidence.pem'}"),
            ).path.name

    def difference(self, **asked: Any) -> list[Change]:
        with compared(*pair(self.store, "previous", "latest", [self.key]), **asked) as found:
            rows = list(found.rows())
            assert Counter((row.kind, row.what) for row in rows) == {
                (kind, what): n for kind, counts in found.counts.items() for what, n in counts.items()
            }
            return rows


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def brief(changes: Iterable[Change]) -> list[tuple[str, str, str | None]]:
    return [(change.kind, change.what, change.name or change.subject) for change in changes]


def finding(
    number: int = 1, facts_: str = '{"age_days": 100, "created_at": "2026-08-14", "rotation_limit_days": 90}', **changes: Any
) -> Known:
    held: dict[str, Any] = {
        "fingerprint": f"{number:064x}", "control": "rotation-age", "subject": f"aws:444455556666:access-key/AKIA{number}", "subject_kind": "credential",
        "identity": user().uid, "identity_name": "acme-backup", "provider": "aws", "scope": "444455556666", "partner": "acme", "accountable": "maria",
        "severity": "high", "reason": "old", "facts_digest": "", "state": "open", "first_seen": AS_OF, "since": AS_OF, "due": None,
    }  # fmt: skip
    return Known(**(held | changes))._replace(ticket_key=facts_)  # the facts travel here into `failures`


def test_new_changed_and_gone_each_with_the_fact_and_who_said_it(nights: Nights) -> None:
    steady, leaving, coming = user("steady"), user("leaving"), user("coming")
    nights.seal([*WHOLE, steady, leaving, key("AKIA1", steady), replace(user("person"), mfa=True)])
    nights.seal([*WHOLE, steady, coming, key("AKIA1", steady, enabled=False), replace(user("person"), mfa=False, name="renamed")])
    found = nights.difference()
    assert brief(found) == [
        ("identities", "changed", "renamed"),
        ("identities", "gone", "leaving"),
        ("identities", "new", "coming"),
        ("credentials", "changed", "steady"),
    ]
    renamed, gone, new, disabled = found
    assert [(fact.fact, fact.before, fact.after, fact.told.call if fact.told else None) for fact in renamed.facts] == [
        ("name", "person", "renamed", "iam:GetAccountAuthorizationDetails"), ("mfa", True, False, "iam:GetCredentialReport"),
    ]  # fmt: skip
    assert renamed.facts[1].told is not None
    assert renamed.facts[1].told.at == AS_OF + DAY
    assert [(fact.fact, fact.before, fact.after, fact.told) for fact in disabled.facts] == [("enabled", True, False, None)]
    assert [change.told.call if change.told else None for change in (gone, new)] == ["iam:GetAccountAuthorizationDetails"] * 2


def test_a_quiet_night_differs_in_nothing(nights: Nights) -> None:
    used = {"last_used_state": "known", "last_used_at": AS_OF - DAY, "use_seen_to": AS_OF}
    token = {"kind": "token", "uid": "vault:v:token/t", "provider": "vault", "scope": "v", "ttl_s": 3600}
    first = replace(user(), tags={"a": "1", "b": "2"}, aliases=("x", "y"), last_active_state="known", last_active_at=AS_OF - 2 * DAY)
    trust = Trust(identity_uid=first.uid, provider="aws", scope="444455556666", party_kind="aws-account", party="111122223333")
    nights.seal([*WHOLE, first, key(**used), key(**token, expires_at=AS_OF), trust, replace(trust, condition="sts:ExternalId")])
    later = replace(first, tags={"b": "2", "a": "1"}, aliases=("y", "x"), observed_at=AS_OF + DAY, last_active_at=AS_OF)
    moved = {**used, "last_used_at": AS_OF, "use_seen_to": AS_OF + DAY, "observed_at": AS_OF + DAY}
    nights.seal([*WHOLE, later, key(**moved), key(**token, expires_at=AS_OF + DAY), replace(trust, condition="sts:ExternalId"), trust])
    assert brief(nights.difference()) == []
    assert {fact.fact for change in nights.difference(all_facts=True) for fact in change.facts} == {
        "observed_at", "last_active_at", "last_used_at", "use_seen_to", "expires_at",
    }  # fmt: skip


def test_the_use_of_what_lay_idle_is_news(nights: Nights) -> None:
    nights.seal([*WHOLE, user(), key("A", last_used_state="known", last_used_at=AS_OF - 200 * DAY), key("B")])
    nights.seal(
        [*WHOLE, user(), key("A", last_used_state="known", last_used_at=AS_OF), key("B", last_used_state="known", last_used_at=AS_OF)]
    )
    (idle, unused) = nights.difference(kinds=("credentials",))
    assert [fact.fact for fact in idle.facts] == ["last_used_at"]
    assert [(fact.fact, fact.before) for fact in unused.facts] == [("last_used_at", None), ("last_used_state", "never")]


@pytest.mark.parametrize(("missing", "expected"), [
    (listing("iam:GetCredentialReport", ("access-key",), state="denied", error="AccessDenied"),
     {("identities", "gone", None), ("credentials", "unobserved", "iam:GetCredentialReport: AccessDenied"), ("grants", "gone", None)}),
    (listing("iam:GetPolicyVersion", (), state="partial", error="throttled"),
     {("identities", "unobserved", "iam:GetPolicyVersion: throttled"), ("credentials", "unobserved", "iam:GetPolicyVersion: throttled"),
      ("grants", "unobserved", "iam:GetPolicyVersion: throttled")}),
    (listing("iam:GetAccountAuthorizationDetails", ("user",), state="failed", error="not JSON"),
     {("identities", "unobserved", "iam:GetAccountAuthorizationDetails: not JSON"), ("credentials", "gone", None),
      ("grants", "unobserved", "iam:GetAccountAuthorizationDetails: not JSON")}),
])  # fmt: skip
def test_gone_is_only_what_would_have_been_seen(nights: Nights, missing: Coverage, expected: set[tuple[str, str, str | None]]) -> None:
    grant = Grant(identity_uid=user().uid, provider="aws", scope="444455556666", role="Admin", power="administrator")
    nights.seal([*WHOLE, user(), key(), grant])
    nights.seal([*[row for row in WHOLE if row.operation != missing.operation], missing])
    found = nights.difference(kinds=("identities", "credentials", "grants"))
    assert {(change.kind, change.what, change.reason) for change in found} == expected
    assert {change.not_looked for change in found if change.what == "unobserved"} <= {"after"}


def test_a_scope_that_was_dark_hides_in_both_directions(nights: Nights) -> None:
    far = replace(user("far"), uid="aws:555566667777:user/AIDAfar", scope="555566667777")
    nights.seal([*WHOLE, user()], dark="AccessDenied: no")
    nights.seal([*WHOLE, user(), user("near")])
    assert brief(nights.difference()) == [("identities", "new", "near")]
    nights.seal([*WHOLE, user(), user("near"), far], only=("aws",))
    (change,) = nights.difference()
    assert (change.what, change.not_looked, change.reason) == ("unobserved", "before", "it was not read")
    nights.seal([*WHOLE, user(), user("near")], dark="AccessDenied: no")
    (change,) = nights.difference()
    assert (change.what, change.not_looked, change.reason) == ("unobserved", "after", "sts:AssumeRole: AccessDenied: no")


def test_a_fact_that_is_not_known_any_more_is_no_change(nights: Nights) -> None:
    nights.seal([*WHOLE, replace(user(), mfa=True), replace(user("b"), mfa=None, unknown={"mfa": "report denied"})])
    nights.seal([*WHOLE, replace(user(), mfa=None, unknown={"mfa": "report denied"}), replace(user("b"), mfa=True, enabled=False)])
    forgotten, learnt = sorted(nights.difference(), key=lambda change: change.what, reverse=True)
    assert (forgotten.what, forgotten.not_looked, forgotten.reason) == ("unobserved", "after", "mfa: report denied")
    assert [(fact.before, fact.after, fact.why_before, fact.why_after) for fact in forgotten.facts] == [(True, None, None, "report denied")]
    assert learnt.what == "changed"
    assert [(fact.fact, fact.why_before) for fact in learnt.facts] == [("enabled", None), ("mfa", "report denied")]


def test_grants_that_could_not_be_read_are_not_gone(nights: Nights) -> None:
    grant = Grant(identity_uid=user().uid, provider="aws", scope="444455556666", role="Admin", power="administrator", rule="r")
    nights.seal([*WHOLE, user(), grant, replace(grant, role="Read", power=None)])
    nights.seal([*WHOLE, user(), replace(grant, power="limited", rule=None), replace(grant, role="Read", power="limited")])
    (admin, read) = nights.difference()
    assert (admin.what, admin.name, [said(fact.fact, fact.before, fact.after) for fact in admin.facts]) == (
        "changed", "acme-backup: Admin", ["power: administrator -> limited", "rule: r -> none"],
    )  # fmt: skip
    assert admin.facts[0].told is not None
    assert [(fact.fact, fact.after, fact.why_before) for fact in read.facts] == [
        ("power", "limited", "the source does not say"),
    ]  # fmt: skip
    nights.seal([*WHOLE, replace(user(), unknown={"grants": "policy denied"})])
    assert {(change.what, change.reason) for change in nights.difference(kinds=("grants",))} == {("unobserved", "policy denied")}


def test_a_key_that_got_its_id_is_the_same_key(nights: Nights) -> None:
    nights.seal(
        [*WHOLE, user(), key("AIDAacme-backup@20261112T020000Z"), key("AIDAacme-backup@20261101T020000Z", created_at=AS_OF - 21 * DAY)]
    )
    nights.seal([*WHOLE, user(), key("AKIA7", enabled=False), key("AIDAacme-backup@20261101T020000Z", created_at=AS_OF - 21 * DAY)])
    (change,) = nights.difference()
    assert (change.subject, [fact.fact for fact in change.facts]) == ("aws:444455556666:access-key/AKIA7", ["enabled"])


def test_findings_come_go_and_change_with_what_changed_behind_them(nights: Nights) -> None:
    nights.seal(
        [*WHOLE, user(), key("AKIA1"), key("AKIA2"), key("AKIA3")],
        [finding(1), finding(2), finding(3), finding(4, state="resolved"), finding(5)],
    )
    aged = '{"age_days": 101, "created_at": "2026-08-14", "rotation_limit_days": 90}'
    tighter = '{"age_days": 101, "created_at": "2026-08-14", "rotation_limit_days": 30}'
    nights.seal(
        [*WHOLE, replace(user(), enabled=False), key("AKIA2"), key("AKIA3")],
        [
            finding(1, state="resolved"), finding(2, aged), finding(3, tighter, severity="critical"), finding(4, reopened=1),
            finding(6, first_seen=AS_OF + DAY), finding(7, subject="aws:1:access-key/X", scope="1", unobserved_since=AS_OF + DAY), finding(5, state="excepted", excepted="EX-1"),
        ],
    )  # fmt: skip
    found = {change.subject[-1]: change for change in nights.difference(kinds=("findings",))}
    assert {subject: change.what for subject, change in found.items()} == {
        "1": "resolved", "3": "changed", "4": "reopened", "5": "excepted", "6": "new", "X": "unobserved",
    }  # fmt: skip
    assert found["1"].behind == ("credential acme-backup is gone", "identity acme-backup: enabled: yes -> no")
    assert [(fact.fact, fact.before, fact.after, fact.told.call if fact.told else None) for fact in found["3"].facts] == [
        ("severity", "high", "critical", "register"), ("rotation_limit_days", 90, 30, None),
    ]  # fmt: skip
    assert [fact.fact for fact in found["5"].facts] == ["excepted"]
    assert found["X"].reason == "it was not read"
    moving = {change.subject[-1]: [fact.fact for fact in change.facts] for change in nights.difference(kinds=("findings",), all_facts=True)}
    assert (moving["2"], moving["3"]) == (["age_days"], ["severity", "age_days", "rotation_limit_days"])


def test_a_finding_whose_words_look_like_moving_facts_still_changes(nights: Nights) -> None:
    nights.seal(WHOLE, [finding(1, r'{"name": "x\"age_days\":1,", "age_days": 1}'), finding(2, '{"last_used_at": "a", "n": 1}')])
    nights.seal(WHOLE, [finding(1, r'{"name": "x\"age_days\":2,", "age_days": 9}'), finding(2, '{"last_used_at": "b", "n": 1}')])
    (change,) = nights.difference(kinds=("findings",))
    assert [(fact.fact, fact.after) for fact in change.facts] == [("name", 'x"age_days":2,')]


def test_a_register_says_which_entries_differ(nights: Nights) -> None:
    machine = Policy(rotate_within={"aws_access_key": 90 * DAY}, overlap=7 * DAY, grace=DAY)
    base: dict[str, Any] = {"partners": {"acme": HELD}, "policies": Policies(human=Policy(mfa="required"), machine=machine)}
    backup = Workload(workload="backup", partner="acme", owner="maria", backup_owner="dev", identities=("aws:*:user/acme-*",))
    before = register(
        **base,
        workloads={"backup": backup, "old": backup.model_copy(update={"workload": "old", "partner": None})},
    )
    tightened = Policies(human=Policy(mfa="required"), machine=machine.model_copy(update={"rotate_within": {"aws_access_key": 30 * DAY}}))
    after = register(
        **base | {"policies": tightened, "people": {"maria": Person(id="maria", name="Maria", active=False), "dev": Person(id="dev", name="Dev", active=True)}},
        workloads={"backup": backup.model_copy(update={"identities": ("aws:*:user/acme-*", "aws:*:role/acme-*")}), "new": backup.model_copy(update={"workload": "new"})},
        digest="sha256:2",
    )  # fmt: skip
    nights.seal(WHOLE, held=before)
    nights.seal(WHOLE, held=after)
    found = {change.subject: change for change in nights.difference(kinds=("register",))}
    assert {subject: change.what for subject, change in found.items() if change.subject_kind in ("workload", "limits")} == {
        "workload/backup": "changed", "workload/old": "gone", "workload/new": "new", "limits/customer": "changed",
    }  # fmt: skip
    assert {fact.fact for fact in found["workload/backup"].facts} >= {"accountable", "identities"}
    assert "machine rotate aws_access_key: 90 days -> 30 days" in [
        said(fact.fact, fact.before, fact.after) for fact in found["limits/customer"].facts
    ]
    assert found["workload/backup"].told is not None
    assert {change.subject for change in nights.difference(kinds=("register",), partner="acme")} == {"workload/backup", "workload/new"}


def test_a_partner_has_what_was_or_is_its_own(nights: Nights) -> None:
    held = register(partners={"acme": HELD})
    theirs, ours = user("acme-x"), user("payroll")
    nights.seal([*WHOLE, theirs, ours, key("AKIA1", theirs), key("AKIA2", ours)], [finding(1), finding(2, partner=None)], held=held)
    nights.seal([*WHOLE, replace(theirs, name="renamed"), replace(ours, enabled=False)], held=held)
    assert brief(nights.difference(partner="acme")) == [
        ("findings", "resolved", "acme-backup"), ("identities", "changed", "renamed"), ("credentials", "gone", "renamed"),
    ]  # fmt: skip
    with pytest.raises(NoSuchPartnerError, match="nobody"):
        nights.difference(partner="nobody")


def test_what_is_not_as_signed_is_not_compared(nights: Nights) -> None:
    first, second = nights.seal([*WHOLE, user()]), nights.seal([*WHOLE, user("x")])
    file = nights.store / second / "inventory" / "identities.parquet"
    kept = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes((nights.store / first / "inventory" / "identities.parquet").read_bytes())
    with pytest.raises(EvidenceError, match=f"{second}/inventory/identities.parquet is not the file that was signed"):
        nights.difference()
    file.write_bytes(kept)
    stranger = signer.keygen(nights.folder / "stranger.pem")
    assert [run.unverified for run in pair(nights.store, first, second, [nights.key])] == [None, None]
    assert {run.unverified for run in pair(nights.store, first, second, [stranger])} == {
        "it was signed by another key than the programme's"
    }
    assert {run.unverified for run in pair(nights.store, first, second, [])} == {"no public key of the customer was given"}
    signed = nights.store / second / "statement.dsse.json"
    signed.chmod(0o644)
    signed.write_bytes((nights.store / first / "statement.dsse.json").read_bytes().replace(b'"sig":"', b'"sig":"AAAA', 1))
    with pytest.raises(EvidenceError):
        pair(nights.store, first, second, [nights.key])


def test_runs_are_found_by_many_names_and_put_in_order(nights: Nights) -> None:
    with pytest.raises(NoSuchRunError, match="no evidence"):
        pair(nights.store, "previous", "latest", [])
    first = nights.seal([*WHOLE, user()])
    with pytest.raises(NoSuchRunError, match="no run before 00000001"):
        pair(nights.store, "previous", "latest", [])
    failed, last = nights.fail(), nights.seal([*WHOLE, user()])
    for names in (
        ("previous", "latest"),
        ("latest", "previous"),
        ("run-1", "run-3"),
        (last, first),
        ("previous", last),
        ("latest", "run-1"),
    ):
        assert [run.name for run in pair(nights.store, *names, [])] == [first, last]
    with pytest.raises(NoSuchRunError, match="came to no verdicts"):
        pair(nights.store, failed, "latest", [])
    with pytest.raises(NoSuchRunError, match="there is no run 'never'"):
        pair(nights.store, "never", "latest", [])


def test_hostile_names_are_names(nights: Nights) -> None:
    nights.seal([*WHOLE, replace(user(), name=HOSTILE, unknown={"mfa": HOSTILE}, mfa=None)])
    nights.seal([*WHOLE, replace(user(), name=f"{HOSTILE}'; DROP TABLE changes; --")])
    (change,) = nights.difference()
    assert [(fact.fact, fact.before) for fact in change.facts] == [("name", HOSTILE), ("mfa", None)]
    assert change.facts[1].why_before == HOSTILE


names = st.sets(st.sampled_from("abcdef"))


@settings(max_examples=4, deadline=None)
@given(before=names, after=names, missing=st.booleans())
def test_what_is_new_and_gone_is_what_was_read_less_what_was_not(
    *, before: set[str], after: set[str], missing: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    nights = Nights(tmp_path_factory.mktemp("nights"))
    gap = (listing("iam:ListMFADevices", (), state="denied", error="no"),) if missing else ()
    nights.seal([*WHOLE, *(user(name) for name in before)])
    nights.seal([*WHOLE, *gap, *(user(name) for name in after)])
    found = nights.difference()
    told = {what: {change.name for change in found if change.what == what} for what in ("new", "gone", "unobserved")}
    assert told == {"new": after - before, "gone": set() if missing else before - after, "unobserved": before - after if missing else set()}
