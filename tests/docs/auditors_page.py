"""A real bundle of the third quarter as docs/auditors.md has it at hand, and the page's lines for the shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from countersign import scaffold
from countersign.evidence.verify import CHECKPOINT
from countersign.export import Wanted, export
from countersign.programme import load
from countersign.reconciliation import reconcile

PAGE = Path(__file__).parents[2] / "docs" / "auditors.md"
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)


def make(folder: Path) -> Path:
    """Fill `folder` with what an auditor has: the bundle, the public key and the checkpoint of the quarter before. Return it."""
    programme = folder / "programme"
    scaffold.init(programme)
    row = "user{0:02},arn:aws:iam::111111111111:user/user{0:02},2024-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,true,2024-01-01T00:00:00+00:00"
    rest = ",N/A,N/A,N/A,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
    report = "\n".join((HEADER, *(row.format(number) + rest for number in range(40))))
    (programme / "exports" / "credentials.csv").write_text(report + "\n")
    for day in (date(2026, 6, 30), date(2026, 9, 30)):
        reconcile(load(programme), datetime(day.year, day.month, day.day, 2, tzinfo=UTC))
    hand = folder / "auditor"
    hand.mkdir()
    shutil.copyfile(programme / "keys" / "evidence.pub.pem", hand / "evidence.pub.pem")
    shutil.copyfile(programme / "evidence" / "00000001" / CHECKPOINT, hand / "checkpoint-2026-q2")
    wanted = Wanted(first=date(2026, 7, 1), last=date(2026, 9, 30), output=hand / "bundle.zip", samples=25, seed="auditor-2026-q3")
    export(load(programme), wanted, now=lambda: NOW)
    return hand


def blocks() -> list[str]:
    """The page's blocks of lines for a shell, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def typed(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run lines as an auditor would, with the Python of these tests first."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}
    return subprocess.run(["sh", "-e", "-c", lines], cwd=folder, env=env, capture_output=True, text=True, check=False)
