from __future__ import annotations

import json
from pathlib import Path

import pytest

from countersign.cli import answer
from countersign.reading import connector
from docs import generate_permissions

ROOT = Path(__file__).parents[2]

each_provider = pytest.mark.parametrize("provider", generate_permissions.PROVIDERS)


def test_the_files_are_what_the_connectors_declare() -> None:
    folder = generate_permissions.FOLDER
    there = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}
    del there["README.md"]
    assert generate_permissions.files() == there, "run: make docs"


@each_provider
def test_what_reads_cannot_revoke(provider: str) -> None:
    loaded = connector(provider)
    for declared in (loaded.PERMISSIONS, loaded.REVOKE_PERMISSIONS):
        assert declared
        assert tuple(sorted(set(declared))) == declared
    # Verifying a revocation reads too, so the two may share reads, and nothing else.
    files = loaded.permission_files()
    assert {"read", "revoke"} <= {name.split(".")[0].split("-")[0] for name in files} | {
        word for name in files for word in name.split(".")[0].split("-")
    }
    changes = set(loaded.REVOKE_PERMISSIONS) - set(loaded.PERMISSIONS)
    assert changes
    for name, text in files.items():
        if "revoke" not in name and "drill" not in name:
            assert not [permission for permission in changes if f'"{permission}"' in text or f"- {permission}\n" in text]


@each_provider
def test_each_page_names_every_permission(provider: str) -> None:
    page = (ROOT / "docs" / "connectors" / f"{provider}.md").read_text(encoding="utf-8")
    files = "\n".join(text for name, text in connector(provider).permission_files().items() if "revoke" not in name)
    missing = [one for one in connector(provider).PERMISSIONS if one not in page and one.split(" ", 1)[-1] not in page and one not in files]
    assert not missing


def test_the_command_prints_one_file_or_all_as_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == answer(["permissions", "aws", "--file", "read.json"])
    policy = json.loads(capsys.readouterr().out)
    assert "iam:GetCredentialReport" in policy["Statement"][0]["Action"]
    assert 0 == answer(["permissions", "vault", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == dict(connector("vault").permission_files())
    assert 2 == answer(["permissions", "aws", "--file", "nothing.json"])
    assert "read.json" in capsys.readouterr().err
