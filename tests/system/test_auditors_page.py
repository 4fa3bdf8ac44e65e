"""The lines of docs/auditors.md that need nothing but openssl, on a real bundle."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.docs import auditors_page as page

if TYPE_CHECKING:
    from pathlib import Path


def test_openssl_alone_checks_a_bundle_by_the_lines_of_the_page(tmp_path: Path) -> None:
    assert shutil.which("openssl") is not None, "openssl is missing: apt-get install openssl"
    hand = page.make(tmp_path)
    unpack, *others = page.blocks()
    assert 0 == page.typed(unpack, hand).returncode
    signature, files = (each for each in others if "payload" in each)
    done = page.typed(signature, hand)
    assert (0, "Signature Verified Successfully\n") == (done.returncode, done.stdout), done.stderr
    checked = page.typed(files, hand)
    assert (0, "") == (checked.returncode, checked.stdout + checked.stderr)
    listed = (hand / "files.sha256").read_text(encoding="utf-8").splitlines()
    assert sum(1 for path in (hand / "bundle").rglob("*") if path.is_file()) - 1 == len(listed)

    (hand / "bundle" / "tickets" / "tickets.csv").write_text("key\n", encoding="utf-8")
    changed = page.typed(files, hand)
    assert (1, True) == (changed.returncode, "tickets/tickets.csv: FAILED" in changed.stdout)
