"""Approvals in the register's git repository: statements that a signed commit of their own added, and nothing else with them.

Only the signed commit says who approves, so nothing but its own bytes and the trees that it names is believed: objects are read through
an empty repository of ours, without the real one's configuration, hooks, replacements or grafts, and each is hashed again here.
Git's object formats: gitformat-pack(5) and git-cat-file(1); signatures in commits: gitformat-signature(5).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from countersign.approval.proofs import CommitProof, Unproved
from countersign.document import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = "approvals"
"""Folder of the register: `<plan id>.json`, or `<plan id>.<anything>.json` where it takes two."""
GIT = "git"
"""What git has commits signed for (its namespace)."""
_LARGEST = 100_000
"""Bytes of a statement, and how many approvals of one plan are looked at."""
_MOST = 20
_PATIENCE = 60
_SHA256 = 64
"""Hex digits of an object's name where the repository counts by SHA-256."""
_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_FILE, _TREE = b"100644", b"40000"
_HEADERS = re.compile(rb"tree ([0-9a-f]+)\n((?:parent [0-9a-f]+\n)*)author [^\n]*\ncommitter [^\n]*\n")


class _NotProvedError(Exception):
    """Why a file in the repository is no proof; one sentence's end."""


def commits(register: Path, plan: str) -> tuple[CommitProof | Unproved, ...]:
    """Return what the repository around the register's folder holds as approvals of a plan (its id); empty where nothing is there.

    A proof is one commit, reachable from HEAD, that has at most one parent, adds exactly this file and changes nothing else, whose file
    is still the same at HEAD, and which is the only one that ever touched it. Whose signature it bears is for the caller to check.
    """
    inside = register / FOLDER
    found = sorted(each.name for each in inside.iterdir()) if inside.is_dir() else []
    names = [name for name in found if name == f"{plan}.json" or (name.startswith(f"{plan}.") and name.endswith(".json"))]
    proofs: list[CommitProof | Unproved] = []
    for name in names[:_MOST]:
        said = f"register/{FOLDER}/{name}"
        try:
            with _opened(register.resolve()) as (repository, prefix):
                proofs.append(_proof(repository, (*prefix, FOLDER, name), said))
        except _NotProvedError as error:
            proofs.append(Unproved(name=said, why=str(error)))
    proofs += [Unproved(name=f"register/{FOLDER}/{name}", why=f"only {_MOST} are looked at") for name in names[_MOST:]]
    return tuple(proofs)


@dataclass(frozen=True, slots=True)
class _Repository:
    """The objects of a repository, and what HEAD was."""

    folder: Path
    """An empty repository of ours."""
    objects: Path
    head: str

    def git(self, *words: str) -> bytes:
        return _git(
            "-c", "core.commitGraph=false", *words, folder=self.folder, GIT_OBJECT_DIRECTORY=str(self.objects), GIT_DIR=str(self.folder)
        )

    def read(self, kind: str, name: str) -> bytes:
        """Return an object whose content is what its name says."""
        if _ID.fullmatch(name) is None or len(name) != len(self.head):
            raise _NotProvedError("the repository holds a name that is none")
        data = self.git("cat-file", kind, name)
        algorithm = "sha256" if len(name) == _SHA256 else "sha1"
        if hashlib.new(algorithm, f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest() != name:
            raise _NotProvedError("the repository holds something else than it says it does")
        return data

    def tree(self, name: str) -> dict[bytes, tuple[bytes, str]]:
        """Return a folder: name to mode and object."""
        data, size = self.read("tree", name), len(name) // 2
        found: dict[bytes, tuple[bytes, str]] = {}
        at = 0
        while at < len(data):
            space, zero = data.find(b" ", at), data.find(b"\0", at)
            if not at < space < zero <= len(data) - size - 1 or data[space + 1 : zero] in found:
                raise _NotProvedError("the repository holds a folder that cannot be read")
            found[data[space + 1 : zero]] = (data[at:space], data[zero + 1 : zero + 1 + size].hex())
            at = zero + 1 + size
        return found


@dataclass(frozen=True, slots=True)
class _Commit:
    tree: str
    parents: tuple[str, ...]
    signed: bytes
    signature: str | None


@contextmanager
def _opened(register: Path) -> Iterator[tuple[_Repository, tuple[str, ...]]]:
    """Find the repository around a folder; gives it, and the folder's own path in it."""
    top = next((each for each in (register, *register.parents) if (each / ".git").exists()), None)
    if top is None:
        raise _NotProvedError("the register lies in no git repository here, so nobody can tell who added it")
    real = f"--git-dir={top / '.git'}"
    head = _git(real, "rev-parse", "--verify", "HEAD", folder=top).decode().strip()
    objects = top / os.fsdecode(_git(real, "rev-parse", "--git-path", "objects", folder=top).removesuffix(b"\n"))
    if _ID.fullmatch(head) is None:
        raise _NotProvedError("the repository has no commit yet")
    with tempfile.TemporaryDirectory(prefix="countersign-git-") as scratch:
        folder = Path(scratch)
        for each in ("objects", "refs"):
            (folder / each).mkdir()
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        kind = "\n[extensions]\nobjectformat = sha256" if len(head) == _SHA256 else ""
        (folder / "config").write_text(f"[core]\nbare = true\nrepositoryformatversion = {int(bool(kind))}{kind}\n")
        yield _Repository(folder, objects, head), register.relative_to(top).parts


def _proof(repository: _Repository, path: tuple[str, ...], said: str) -> CommitProof:
    now = _held(repository, path)
    if now is None:
        raise _NotProvedError("it is not committed")
    touched = repository.git(
        "rev-list", "--full-history", "--no-merges", "--max-count=2", repository.head, "--", "/".join(path)
    ).decode().split()  # fmt: skip
    if not touched:
        raise _NotProvedError("a merge brought it in, and no commit of its own")
    if len(touched) > 1:
        raise _NotProvedError("more than one commit touched it; approve anew under another name")
    commit = _read(repository, touched[0])
    if commit.signature is None:
        raise _NotProvedError(f"commit {touched[0][:12]}, which added it, is not signed")
    if _added(repository, commit, path) != now:
        raise _NotProvedError(f"it is not what commit {touched[0][:12]} added")
    if int(repository.git("cat-file", "-s", now)) > _LARGEST:
        raise _NotProvedError("it is too large to be a statement")
    return CommitProof(
        name=f"{said} in commit {touched[0][:12]}", statement=repository.read("blob", now), signed=commit.signed, signature=commit.signature
    )


def _read(repository: _Repository, name: str) -> _Commit:
    """Take a commit apart as git does to check its signature, and refuse whatever git might read in another way."""
    raw = repository.read("commit", name)
    head, _, body = raw.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] | None = None
    ours, inside = (b"gpgsig-sha256" if len(name) == _SHA256 else b"gpgsig"), False
    for line in head.split(b"\n"):
        inside = inside and line.startswith(b" ")
        if inside and signature is not None:
            signature.append(line[1:])
        elif line.startswith(ours + b" ") and signature is None:
            signature, inside = [line[len(ours) + 1 :]], True
        elif line.startswith(b"gpgsig"):
            raise _NotProvedError(f"commit {name[:12]} bears more than one signature")
        else:
            kept.append(line)
    signed = b"\n".join(kept) + b"\n\n" + body
    match = _HEADERS.match(signed)
    if match is None:
        raise _NotProvedError(f"commit {name[:12]} cannot be read")
    parents = tuple(line.split()[1].decode() for line in match[2].splitlines())
    text = None if signature is None else b"\n".join(signature).decode(errors="replace") + "\n"
    return _Commit(match[1].decode(), parents, signed, text)


def _added(repository: _Repository, commit: _Commit, path: tuple[str, ...]) -> str:
    """Return the object of the one file that a commit added, which is all that it did."""
    if len(commit.parents) > 1:
        raise _NotProvedError("a merge brought it in, and no commit of its own")
    old = repository.tree(_read(repository, commit.parents[0]).tree) if commit.parents else {}
    new = repository.tree(commit.tree)
    for depth, part in enumerate(map(os.fsencode, path)):
        if {name for name in {*old, *new} if old.get(name) != new.get(name)} != {part} or part not in new:
            raise _NotProvedError("the commit that added it changed something else as well; approve in a commit of its own")
        mode, name = new[part]
        if depth == len(path) - 1:
            if mode != _FILE or part in old:
                raise _NotProvedError("the commit did not add it as a plain new file")
            return name
        if mode != _TREE or old.get(part, (_TREE, ""))[0] != _TREE:
            raise _NotProvedError("the commit changed what is a folder")
        new, old = repository.tree(name), repository.tree(old[part][1]) if part in old else {}
    raise _NotProvedError("it has no name")


def _held(repository: _Repository, path: tuple[str, ...]) -> str | None:
    """Return the object of a plain file at HEAD."""
    held = repository.tree(_read(repository, repository.head).tree)
    for part in map(os.fsencode, path[:-1]):
        mode, name = held.get(part, (b"", ""))
        if mode != _TREE:
            return None
        held = repository.tree(name)
    mode, name = held.get(os.fsencode(path[-1]), (b"", ""))
    return name if mode == _FILE else None


def _git(*words: str, folder: Path, **variables: str) -> bytes:
    """Run git with nothing of the environment but PATH, no configuration but the repository's own, and no way to fetch or ask."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_NO_REPLACE_OBJECTS": "1", "GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none", "GIT_GRAFT_FILE": os.devnull, **variables,
    }  # fmt: skip
    command = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", *words]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, no shell
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except FileNotFoundError:
        raise _NotProvedError("git, which reads it, is not on this machine") from None
    except subprocess.TimeoutExpired:
        raise _NotProvedError("git did not answer") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _NotProvedError(f"git cannot read the repository: {shown(said)}")
    return done.stdout
