"""What tickets say: everything that whoever gets one needs, and nothing from outside that acts on whoever reads it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from countersign.desk.ticket_text import described, described_in_markdown
from countersign.expectation import expectations
from countersign.finding import Known, fingerprint, inert
from countersign.remediation import Draft, Night, key, plan
from countersign.ticket_body import CUT, LONGEST, Commands, Heading, Points, Quoted, in_markdown, in_plain, line
from countersign.ticket_words import Said, Sources, worded

NIGHT = datetime(2026, 11, 22, 2, tzinfo=UTC)
RECORDS = {record.id: record for record in expectations()}
HOSTILE = st.text(min_size=1) | st.sampled_from([
    "```\n# owned\n```", "`", "``", " ` ", "](javascript:alert(1))", "<img src=x onerror=alert(1)>", "@everybody #1 !2 GH-4", "\n/close\n",
    "| a | b |\n|---|---|", "a\n---\nb", "https://evil.example/x", "Ticket key: cs1-aaaaaaaaaaaaaaaaaaaaaaaaaa", "\\", "$(reboot)", "&lt;b&gt;",
])  # fmt: skip


def finding(number: int = 1, **changes: object) -> Known:
    control = str(changes.get("control", "rotation-age"))
    subject = f"aws:444455556666:access-key/AKIAEXAMPLE{number}"
    row = Known(
        fingerprint=fingerprint(control, subject), control=control, subject=subject, subject_kind="credential",
        identity="aws:444455556666:user/AIDAEXAMPLE1", identity_name="acme-backup", provider="aws", scope="444455556666", partner="acme",
        accountable="maria", severity="high", reason="created 2026-05-05, 201 days ago; limit 90 days", facts_digest="f1", state="open",
        first_seen=NIGHT, since=NIGHT, due=NIGHT + timedelta(days=7),
    )  # fmt: skip
    return row._replace(**changes)


def ticket(*findings: Known, budget: int = 200, **sources: object) -> Draft:
    night = Night(customer="northwind", as_of=NIGHT, budget=budget, titles={record.id: record.title for record in RECORDS.values()})
    seen = {(each.provider, each.scope): frozenset[str]() for each in findings}
    *_, action = (each for each in plan(findings, (), seen, night) if each.draft is not None)
    assert action.draft is not None
    return worded(action.draft, Sources(records=RECORDS, people={"maria": "Maria Keller"}, **sources))  # type: ignore[arg-type]


def test_a_ticket_says_all_that_its_reader_needs() -> None:
    row = finding()
    said = Said("iam:GetCredentialReport", NIGHT - timedelta(minutes=3), (("created_at", "2026-05-05T08:00:00Z"), ("age_days", "201")))
    draft = ticket(row, facts={row.fingerprint: (said,)})
    assert draft.title == "[high] rotation-age: Credential is past its rotation date: acme-backup, acme"
    text = in_plain(draft.body)
    for wanted in (
        "Credential is past its rotation date. A key nobody rotates is a key whose theft nobody would end.",
        "- Control: rotation-age",
        "- Partner: acme",
        "- Accountable: maria (Maria Keller)",
        "- Due: 2026-11-29T02:00:00Z",
        "- Findings: 1 open, 0 excepted",
        "1. aws:444455556666:access-key/AKIAEXAMPLE1 of acme-backup: created 2026-05-05, 201 days ago; limit 90 days",
        "iam:GetCredentialReport at 2026-11-22T01:57:00Z: created_at 2026-05-05T08:00:00Z, age_days 201",
        "How to fix it:",
        RECORDS["rotation-age"].remedy,
        "Console: IAM > Users > acme-backup",
        "    aws iam ",
        "AKIAEXAMPLE1",
        "A run that reads aws 444455556666 wholly and finds that this holds: A credential is replaced before it reaches the age agreed for it.",
        f"countersign exception request --finding {row.fingerprint[:12]}",
    ):
        assert wanted in text
    marked = in_markdown(draft.body, 60_000)
    assert "### How to fix it" in marked
    assert "- Accountable: `maria` (`Maria Keller`)" in marked
    assert "```sh\naws iam " in marked


def test_what_is_accepted_or_was_not_seen_is_said() -> None:
    until = NIGHT + timedelta(days=30)
    accepted = finding(2, state="excepted", excepted="EX-0007", excepted_until=until)
    text = in_plain(ticket(finding(1), accepted, finding(3, unobserved_since=NIGHT - timedelta(days=2))).body)
    assert "- Findings: 2 open, 1 excepted; 1 of them could not be checked this time" in text
    assert "accepted until 2026-12-22T02:00:00Z by EX-0007" in text
    assert "not checked since 2026-11-20T02:00:00Z: as it was last seen" in text


def test_many_findings_are_counted_and_the_worst_written_out() -> None:
    text = in_plain(ticket(*(finding(number) for number in range(30))).body)
    assert "20. aws:" in text
    assert "21. aws:" not in text
    assert "... and 10 more; `countersign findings` and the evidence list them all." in text


def test_a_roll_up_says_which_controls_wait() -> None:
    draft = ticket(finding(1), finding(1, control="inactive"), budget=0)
    text = in_plain(draft.body)
    assert "Too many tickets for one run: the worst were opened, and these follow on later nights." in text
    assert "rotation-age: aws:444455556666:access-key/AKIAEXAMPLE1" in text
    assert "inactive: aws:444455556666:access-key/AKIAEXAMPLE1" in text


def test_a_ticket_without_findings_is_said_as_it_is() -> None:
    plain = Draft(title="t", body=(line("As it is."),), control="x", partner=None, accountable=None, severity="low", due=None)
    assert worded(plain, Sources(records=RECORDS)) == plain


def rendered(markdown: str) -> list[tuple[str, str]]:
    """The text tokens of a document, each with whether it is code."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    leaves = [leaf for token in tokens for leaf in (token.children if token.children is not None else [token])]
    return [(leaf.type, leaf.content) for leaf in leaves if leaf.content or leaf.type in {"html_block", "html_inline", "image"}]


@given(HOSTILE, HOSTILE, HOSTILE)
def test_nothing_from_outside_is_more_than_code_in_markdown(name: str, reason: str, fact: str) -> None:
    row = finding(identity_name=name, reason=reason)
    sources = Sources(records=RECORDS, facts={row.fingerprint: (Said("call", NIGHT, (("fact", fact),)),)})
    night = Night(customer="northwind", as_of=NIGHT, budget=9)
    (action,) = plan([row], (), {("aws", "444455556666"): frozenset()}, night)
    assert action.draft is not None
    plain_row = row._replace(identity_name="NAME", reason="REASON")
    (harmless,) = plan([plain_row], (), {("aws", "444455556666"): frozenset()}, night)
    assert harmless.draft is not None
    hostile = rendered(in_markdown(worded(action.draft, sources).body, 60_000))
    expected = rendered(in_markdown(worded(harmless.draft, sources).body, 60_000))
    ours = [(kind, text) for kind, text in hostile if kind not in {"code_inline", "fence"}]
    assert ours == [(kind, text) for kind, text in expected if kind not in {"code_inline", "fence"}]


@given(HOSTILE)
def test_a_quotation_is_kept_letter_for_letter(text: str) -> None:
    (found,) = rendered(in_markdown((line(Quoted(text)),), 2 * LONGEST + 100))
    words = str(Quoted(text))
    if words.strip():
        assert found == ("code_inline", words)


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(120, 4000))
def test_what_is_too_long_is_cut_between_pieces_and_that_is_said(texts: list[str], most: int) -> None:
    body = (Heading("Found"), Points(tuple(((Quoted(text),),) for text in texts), numbered=True), Commands(tuple(texts)))
    whole, cut = in_markdown(body, 10**9), in_markdown(body, most)
    assert cut == whole or (len(cut) <= most and cut.endswith(CUT) and whole.startswith(cut.removesuffix(CUT).rstrip("\n")))


@pytest.mark.parametrize("most", [6000, 4000])
def test_where_little_fits_fewer_findings_are_told_and_still_how_to_fix_them(most: int) -> None:
    draft = ticket(*(finding(number) for number in range(30)))
    key_ = key("northwind", "rotation-age", "acme", "maria", "all")
    assert len(in_plain(draft.body)) > most
    for text in (described(draft, key_, most), described_in_markdown(draft, key_, most)):
        assert len(text) <= most
        assert text.endswith(f"Ticket key: {key_}")
        assert text.count("more that do not fit here") == 1
        for wanted in ("AKIAEXAMPLE", "How to fix it", "aws iam ", "What closes this ticket", "countersign exception request"):
            assert wanted in text


@given(st.lists(HOSTILE, min_size=1))
def test_plain_text_keeps_each_value_on_its_line(texts: list[str]) -> None:
    body = (Points(tuple(((Quoted(text),),) for text in texts)),)
    assert len(in_plain(body).split("\n")) == len(texts)
    assert all(char.isprintable() or char == "\n" for char in in_plain(body))
    assert inert("\x1b[31m") == " [31m"


def test_keys_are_the_same_whatever_a_ticket_says() -> None:
    night = Night(customer="northwind", as_of=NIGHT, budget=9)
    (action,) = plan([finding()], (), {("aws", "444455556666"): frozenset()}, night)
    assert action.key == key("northwind", "rotation-age", "acme", "maria", "all")
