"""Approvals as signed commits, with git and ssh-keygen themselves: only the commit that added the statement says who approves."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from countersign.approval import Statement
from countersign.approval.commit import commits
from countersign.approval.proofs import PlanFacts, Unproved
from countersign.cli import approve_plan
from countersign.register.approvals import decide
from tests.countersign.plans_to_approve import estate, planned, programme_folder

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.approval.proofs import CommitProof, Decision

NOW = datetime.now(UTC)
PLAN = PlanFacts(
    subject="plan/acme-1", digest="ab" * 32, made_at=NOW - timedelta(hours=2), expires=NOW + timedelta(days=6), requested_by="countersign",
    control="contract-ended", phase="disable", steps=12, needed=1,
)  # fmt: skip
SAID = Statement(
    customer="northwind", subject=PLAN.subject, digest=PLAN.digest, approver="maria", issued=NOW - timedelta(hours=1),
    expires=NOW + timedelta(days=1),
)  # fmt: skip
FILE = "register/approvals/acme-1.json"


class Repository:
    """A repository of the customer's, worked on with git as people do."""

    def __init__(self, top: Path, keys: dict[str, Path], *, kind: str = "sha1") -> None:
        self.top, self.keys = top, keys
        top.mkdir(parents=True)
        self("init", "-q", "-b", "main", f"--object-format={kind}")
        self.put("register/customer.yaml", b"customer\n")
        self.commit()

    def __call__(self, *words: str, given: bytes = b"", **variables: str) -> str:
        assert shutil.which("git") is not None, "git is missing: apt-get install git"
        fixed = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.top)}
        done = subprocess.run(
            ["git", "-c", "gpg.format=ssh", "-c", "user.name=Maria", "-c", "user.email=maria@northwind.example", *words],
            cwd=self.top, input=given, capture_output=True, check=False, env={**os.environ, **fixed, **variables},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def put(self, name: str, content: bytes) -> None:
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        (self.top / name).write_bytes(content)
        self("add", "-A")

    def commit(self, key: str | None = None, *words: str) -> str:
        signs = () if key is None else ("-c", f"user.signingkey={self.keys[key]}")
        self(*signs, "commit", "-q", "--allow-empty", "-m", "said", *(() if key is None else ("-S",)), *words)
        return self("rev-parse", "HEAD")

    def approve(self, key: str | None = "maria", said: Statement = SAID) -> str:
        self.put(FILE, said.message())
        return self.commit(key)

    def proofs(self) -> tuple[CommitProof | Unproved, ...]:
        return commits(self.top / "register", "acme-1")

    def decision(self) -> Decision:
        lines = "".join(f"{name} {key.with_name(f'{key.name}.pub').read_text()}" for name, key in self.keys.items())
        return decide(PLAN, self.proofs(), estate(allowed_signers=lines), at=NOW)

    def why(self) -> str:
        decision = self.decision()
        assert (decision.holds, decision.approvers) == (False, ())
        return decision.refused[0]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    assert shutil.which("ssh-keygen") is not None, "ssh-keygen is missing: apt-get install openssh-client"
    made = {name: tmp_path_factory.mktemp("keys") / name for name in ("maria", "ben")}
    for path in made.values():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return made


@pytest.fixture
def repository(tmp_path: Path, keys: dict[str, Path]) -> Repository:
    return Repository(tmp_path / "repository", keys)


@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_a_signed_commit_that_adds_the_statement_approves(tmp_path: Path, keys: dict[str, Path], kind: str) -> None:
    made = Repository(tmp_path / kind, keys, kind=kind)
    commit = made.approve()
    made.put("register/customer.yaml", b"something else\n")
    made.commit()
    made("gc", "-q")
    decision = made.decision()
    assert (decision.holds, decision.approvers, decision.proofs) == (True, ("maria",), (f"{FILE} in commit {commit[:12]}",))


def test_it_is_found_from_a_folder_inside_from_a_work_tree_and_on_a_merged_branch(repository: Repository, tmp_path: Path) -> None:
    repository("checkout", "-q", "-b", "topic")
    repository.put("northwind/register/approvals/acme-1.json", SAID.message())
    repository.commit("maria")
    repository("checkout", "-q", "main")
    repository.put("other", b"x")
    repository.commit()
    repository("merge", "-q", "--no-ff", "-m", "merged", "topic")
    repository("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    for top in (repository.top, tmp_path / "tree"):
        (proof,) = commits(top / "northwind" / "register", "acme-1")
        assert not isinstance(proof, Unproved), proof
    assert repository.proofs() == ()


def test_a_later_signature_does_not_count_for_what_somebody_else_added(repository: Repository) -> None:
    repository.approve(None)
    assert "is not signed" in repository.why()
    repository.put("note", b"fine\n")
    repository.commit("maria")
    assert "is not signed" in repository.why()
    repository("-c", f"user.signingkey={repository.keys['maria']}", "tag", "-s", "-m", "fine", "v1")
    assert "is not signed" in repository.why()


def test_names_prove_nothing_and_the_key_does(repository: Repository) -> None:
    repository.approve("ben")
    assert "the key that signed it is not" in repository.why()


def test_touching_it_again_approves_nothing(repository: Repository) -> None:
    repository.approve(None)
    repository.put(FILE, SAID.message() + b"\n")
    repository.commit()
    repository.put(FILE, SAID.message())
    repository.commit("maria")
    assert "more than one commit touched it" in repository.why()


def test_what_was_taken_back_stays_taken_back(repository: Repository) -> None:
    repository.approve()
    repository("rm", "-q", FILE)
    repository.commit()
    assert repository.proofs() == ()
    repository.approve(None)
    assert "more than one commit touched it" in repository.why()


def test_a_commit_that_does_something_else_as_well_approves_nothing(repository: Repository) -> None:
    repository.put("register/partners/acme.yaml", b"x")
    repository.approve()
    assert "changed something else as well" in repository.why()


def test_a_merge_approves_nothing(repository: Repository) -> None:
    repository("checkout", "-q", "-b", "topic")
    repository.put("topic", b"x")
    repository.commit()
    repository("checkout", "-q", "main")
    repository.put("main", b"x")
    repository.commit()
    repository("merge", "-q", "--no-ff", "--no-commit", "topic")
    repository.approve()
    assert "a merge brought it in" in repository.why()


def test_two_who_added_it_on_two_branches_leave_it_open_who_approved(repository: Repository) -> None:
    repository("checkout", "-q", "-b", "topic")
    repository.approve()
    repository("checkout", "-q", "main")
    repository.approve(None)
    repository("merge", "-q", "--no-ff", "-m", "merged", "topic")
    assert "more than one commit touched it" in repository.why()


def test_links_and_uncommitted_files_are_no_approvals(repository: Repository, tmp_path: Path) -> None:
    (repository.top / FILE).parent.mkdir()
    (repository.top / FILE).write_bytes(SAID.message())
    assert "it is not committed" in repository.why()
    (repository.top / FILE).unlink()
    (repository.top / "said").write_bytes(SAID.message())
    (repository.top / FILE).symlink_to("../../said")
    repository("add", "-A")
    repository.commit("maria")
    assert "it is not committed" in repository.why()
    alone = tmp_path / "alone" / "approvals"
    alone.mkdir(parents=True)
    (alone / "acme-1.json").write_bytes(SAID.message())
    (said,) = commits(alone.parent, "acme-1")
    assert isinstance(said, Unproved)


def test_replaced_and_grafted_history_fools_nobody(repository: Repository) -> None:
    base = repository("rev-parse", "HEAD")
    unsigned = repository.approve(None)
    repository("reset", "-q", "--hard", base)
    signed = repository.approve("maria")
    repository("reset", "-q", "--hard", unsigned)
    repository("replace", unsigned, signed)
    assert "is not signed" in repository.why()
    repository("replace", "-d", unsigned)
    # The commit after one that added it unsigned, as if that one had never been.
    child = repository.commit("maria")
    (repository.top / ".git" / "info").mkdir(exist_ok=True)
    (repository.top / ".git" / "info" / "grafts").write_text(f"{child} {base}\n")
    assert "is not signed" in repository.why()


def test_an_object_that_is_not_what_its_name_says_is_refused(repository: Repository) -> None:
    base = repository("rev-parse", "HEAD")
    unsigned = repository.approve(None)
    repository("reset", "-q", "--hard", base)
    signed = repository.approve("maria")
    content = zlib.decompress((repository.top / ".git" / "objects" / signed[:2] / signed[2:]).read_bytes())
    repository("reset", "-q", "--hard", unsigned)
    path = repository.top / ".git" / "objects" / unsigned[:2] / unsigned[2:]
    path.chmod(0o600)
    path.write_bytes(zlib.compress(content))
    assert any(part in repository.why() for part in ("something else than it says", "git cannot read"))


def test_a_history_that_is_cut_off_is_not_guessed_at(repository: Repository, tmp_path: Path) -> None:
    repository.approve(None)
    repository.put("note", b"x")
    repository.commit("maria")
    shallow = tmp_path / "shallow"
    repository("clone", "-q", "--depth=1", f"file://{repository.top}", str(shallow))
    (said,) = commits(shallow / "register", "acme-1")
    assert isinstance(said, Unproved)
    assert "git cannot read the repository" in said.why


def test_neither_the_environment_nor_the_repositorys_configuration_has_a_say(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Path]
) -> None:
    other = Repository(tmp_path / "other", keys)
    other.approve()
    repository.approve(None)
    trap, sprung = tmp_path / "trap", tmp_path / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\n")
    trap.chmod(0o755)
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "gpg.program", "gpg.ssh.program", "diff.external"):
        repository("config", name, str(trap))
    repository("config", "core.hooksPath", str(tmp_path))
    repository("config", "remote.origin.url", f"ext::{trap}")
    repository("config", "remote.origin.promisor", "true")
    repository("config", "extensions.partialClone", "origin")
    repository("config", "core.repositoryformatversion", "1")
    repository("config", "protocol.ext.allow", "always")
    monkeypatch.setenv("GIT_DIR", str(other.top / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.top / ".git" / "objects"))
    monkeypatch.setenv("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(other.top / ".git" / "objects"))
    monkeypatch.setenv("GIT_REPLACE_REF_BASE", "refs/heads")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    assert "is not signed" in repository.why()
    assert not sprung.exists()


def test_a_plan_is_approved_with_a_persons_own_key(tmp_path: Path, keys: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    home = programme_folder(tmp_path / "programme")
    (home / "register" / "allowed_signers").write_text(f"business-owner {keys['maria'].with_name('maria.pub').read_text()}")
    plan = planned(home)
    assert approve_plan.approve(plan.id, person="business-owner", key=keys["maria"], reason="It ended.", programme=home) == 0
    assert "is approved by business-owner. Next: " in capsys.readouterr().out
    inside = home / "offboarding" / plan.id / "approvals"
    verify: list[str | Path] = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-n",
        "countersign",
        "-I",
        "business-owner",
        "-f",
        home / "register" / "allowed_signers",
    ]
    done = subprocess.run(
        [*verify, "-s", inside / "business-owner-1.sig"],
        input=(inside / "business-owner-1.json").read_bytes(),
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0
