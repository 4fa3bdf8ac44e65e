"""What is written into an exception's file reads back as it was said, and leaves what a person wrote there."""

from __future__ import annotations

import json
from datetime import date

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.register import exception_file
from countersign.register.records import RegisteredException

ENTRY = RegisteredException(
    exception="EX-0001", control="rotation-age", subject="aws:111111111111:access-key/AKIA", reason="r", compensating_control="c", exit_criteria="e", requested_by="dev",
    expires=date(2026, 12, 1),
)  # fmt: skip


@settings(deadline=None)
@given(st.text(min_size=1), st.sampled_from(["reason", "exit_criteria", "subject"]))
def test_whatever_is_written_reads_back_or_is_refused(text: str, field: str) -> None:
    entry = ENTRY.model_copy(update={field: text})
    try:
        written = exception_file.text_of(entry)
    except exception_file.FileRefusedError:
        return
    assert yaml.safe_load(written)[field] == text


def test_a_file_keeps_its_comments_line_ends_and_shape() -> None:
    approved = ENTRY.model_copy(update={"approved_by": "ada", "approved_on": date(2026, 11, 22)})
    fields = {"approved_by": "ada", "approved_on": "2026-11-22"}
    plain = exception_file.text_of(ENTRY)
    assert exception_file.changed(plain, fields, approved) == f"{plain}approved_by: ada\napproved_on: 2026-11-22\n"
    windows = "\ufeff# ours\r\n" + plain.replace("\n", "\r\n") + "approved_by:   # who?\r\n# end"
    held = exception_file.changed(windows, fields, approved)
    assert held == windows.replace("approved_by:   # who?", "approved_by: ada   # who?") + "\r\napproved_on: 2026-11-22\r\n"
    one_line = json.dumps({**ENTRY.model_dump(mode="json", exclude_none=True)})
    with pytest.raises(exception_file.FileRefusedError, match="approved_by: ada; approved_on: 2026-11-22"):
        exception_file.changed(one_line, fields, approved)
