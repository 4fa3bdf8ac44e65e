"""What is written into tickets of Request Tracker, whatever names say: one key, one digest, one line, and no more bytes than RT keeps."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.desk.approval_ticket import approval_draft, stated_digest
from countersign.desk.request_tracker import SUBJECT_BYTES, _plain, _subject
from countersign.desk.wire import BUSY_S, retry_after
from countersign.remediation import key
from countersign.ticket_body import in_plain

DIGEST = "ab" * 32
KEY = key("northwind", "offboarding", "acme", "1", "acme-1")
OTHER = key("northwind", "offboarding", "acme", "2", "acme-1")
LINES = st.lists(
    st.text() | st.sampled_from([f"Plan digest: {'cd' * 32}", f"x\nPlan digest: sha256:{'cd' * 32}", f"\u2028Plan digest: {DIGEST}"])
)


@given(st.text() | st.text(max_size=40).map(lambda text: f"{text}[{OTHER}]") | st.text(min_size=200))
def test_a_subject_bears_one_key_and_fits(title: str) -> None:
    subject = _subject(title, KEY)
    assert subject.endswith(f"[{KEY}]")
    assert subject.count("[cs1-") == 1
    assert len(subject.encode(errors="replace")) <= SUBJECT_BYTES
    assert subject.isprintable()
    assert subject == _subject(subject.removesuffix(f"[{KEY}]"), KEY)


@given(st.text())
def test_a_text_keeps_its_lines_and_nothing_that_acts(text: str) -> None:
    plain = _plain(text)
    assert plain.count("\n") == text.count("\n")
    assert all(char.isprintable() or char == "\n" for char in plain)


@given(LINES, st.text(max_size=30), st.none() | st.text(max_size=30))
def test_no_name_can_state_another_digest(summary: list[str], subject: str, partner: str | None) -> None:
    draft = approval_draft(subject, DIGEST, summary, None, partner=partner)
    assert stated_digest(_plain(in_plain(draft.body))) == DIGEST


def test_a_digest_is_stated_once_on_a_line_of_its_own_or_not_at_all() -> None:
    line = f"Plan digest: sha256:{DIGEST}"
    assert stated_digest(f"a\n{line}\nb") == DIGEST
    assert stated_digest(f"{line}\nPlan digest: {'cd' * 32}") is None
    assert stated_digest(f"- {line}") is None
    with pytest.raises(ValueError, match="64"):
        approval_draft("plan/acme-1", "abc", (), None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", BUSY_S),
        ("-3", BUSY_S),
        ("", BUSY_S),
    ],
)
def test_how_long_a_busy_server_asks_to_wait(header: str, seconds: float) -> None:
    answer = httpx.Response(429, headers={"Retry-After": header, "Date": "Sun, 22 Nov 2026 12:00:00 GMT"})
    assert retry_after(answer) == seconds
