"""Signatures of ssh-keygen hold for us, ours hold for it, and an approval goes through the program with a person's own key."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from countersign import scaffold
from countersign.approval import NAMESPACE, ApprovalError, Statement, digest, refusal, sign
from countersign.cli import answer
from countersign.register.records import Person
from tests.countersign.signed_by_hand import Key

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
PEOPLE = {"maria": Person(id="maria", name="Maria Keller", active=True)}
PLAN = Statement(
    customer="northwind", subject="plan/acme", digest=digest({}), approver="maria", issued=NOW - timedelta(minutes=1), expires=NOW + timedelta(days=1)
)  # fmt: skip


def ssh_keygen(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    assert shutil.which("ssh-keygen") is not None, "ssh-keygen is missing: apt-get install openssh-client"
    return subprocess.run(["ssh-keygen", *words], input=given, check=False, capture_output=True)


def key(folder: Path, *kind: str) -> Path:
    path = folder / "-".join(kind)
    assert ssh_keygen("-q", "-t", *kind, "-N", "", "-C", "maria at work", "-f", path).returncode == 0
    return path


def allowed(path: Path, principal: str = "maria", options: str = "") -> str:
    return f"{principal} {options} {path.with_name(path.name + '.pub').read_text()}"


def holds(signature: str, lines: str) -> bool:
    return refusal(PLAN, signature, allowed_signers=lines, people=PEOPLE, zone="UTC", at=NOW) is None


def holds_for_openssh(folder: Path, signature: str, lines: str) -> bool:
    (folder / "allowed_signers").write_text(lines)
    (folder / "plan.sig").write_text(signature)
    words = ("-Y", "verify", "-f", folder / "allowed_signers", "-I", "maria", "-n", NAMESPACE, "-s", folder / "plan.sig")
    return ssh_keygen(*words, given=PLAN.message()).returncode == 0


@pytest.mark.parametrize(
    "kind", [("ed25519",), ("ecdsa", "-b", "256"), ("ecdsa", "-b", "384"), ("ecdsa", "-b", "521"), ("rsa", "-b", "2048")]
)
def test_what_ssh_keygen_signs_holds_for_both(tmp_path: Path, kind: tuple[str, ...]) -> None:
    mine, another = key(tmp_path, *kind), key(tmp_path, "ed25519", "-a", "1")
    signature = sign(PLAN.message(), mine)
    for lines, expected in (
        (allowed(mine), True),
        (allowed(mine, options='valid-before="20991231Z",namespaces="git,countersign"'), True),
        (allowed(another), False),
        (allowed(mine, "dev"), False),
        (allowed(mine, options='namespaces="git"'), False),
        (allowed(mine, options='valid-before="20200101Z"'), False),
        (allowed(mine, options='valid-after="20990101Z"'), False),
    ):
        assert (holds(signature, lines), holds_for_openssh(tmp_path, signature, lines)) == (expected, expected), lines


@pytest.mark.parametrize(
    ("kind", "hardware"),
    [*((kind, False) for kind in ("ed25519", "nistp256", "nistp384", "nistp521", "rsa")), ("ed25519", True), ("nistp256", True)],
)
def test_what_our_tests_sign_holds_for_ssh_keygen(tmp_path: Path, kind: str, *, hardware: bool) -> None:
    mine = Key(kind, hardware=hardware)
    signature = mine.sign(PLAN.message())
    assert (holds(signature, mine.line("maria")), holds_for_openssh(tmp_path, signature, mine.line("maria"))) == (True, True)


def test_a_key_that_cannot_sign_is_told(tmp_path: Path) -> None:
    with pytest.raises(ApprovalError, match="ssh-keygen could not sign"):
        sign(b"x", tmp_path / "none")


def test_an_exception_is_approved_with_a_persons_own_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scaffold.init(tmp_path / "programme")
    register, mine = tmp_path / "programme" / "register", key(tmp_path, "ed25519")
    (register / "allowed_signers").write_text(allowed(mine, "business-owner"))
    here = ("-p", str(tmp_path / "programme"))
    asked = (
        "exception", "request", "--control", "rotation-age", "--subject", "aws:111111111111:access-key/AKIA", "--reason", "frozen",
        "--compensating-control", "an allow-list", "--exit-criteria", "rotated", "--expires", str((NOW + timedelta(days=20)).date()), "--by", "technical-owner",
    )  # fmt: skip
    assert answer([*asked, *here]) == 0
    assert answer(["exception", "approve", "EX-1", "--as", "business-owner", "--key", str(mine), *here]) == 0
    assert answer(["exception", "list", *here]) == 0
    capsys.readouterr()
    assert answer(["exception", "statement", "EX-1", *here]) == 0
    words = (
        "-Y",
        "verify",
        "-f",
        register / "allowed_signers",
        "-I",
        "business-owner",
        "-n",
        NAMESPACE,
        "-s",
        register / "exceptions" / "EX-0001.sig",
    )
    assert ssh_keygen(*words, given=capsys.readouterr().out.encode()).returncode == 0
