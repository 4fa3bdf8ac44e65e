"""The wheel: one name in site-packages, everything inside it, and the flows importable from where it lies."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from countersign.expectation import expectations

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_it_holds_one_package_and_all_of_it(installed: Path) -> None:
    assert ["countersign"] == [path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = ("flows/", "connectors/", "expectations/", "deployments/", "sandbox/")
    wanted = {f"countersign/app/{name}" for name in tracked if name.startswith(folders)} | {
        name for name in tracked if name.startswith("countersign/")
    }
    assert set() == {name for name in wanted if not (installed / name).exists()}


def test_its_program_finds_its_flows_and_expectations(installed: Path, tmp_path: Path) -> None:
    script = (
        "import countersign, sys; sys.path.insert(0, str(countersign.app_dir())); "
        "from countersign.expectation import expectations; import flows.nightly_reconciliation as flow; "
        "print(len(expectations()), flow.nightly_reconciliation.name, countersign.__file__)"
    )
    # -P and another folder: the checkout must not be what is found.
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(installed), "HOME": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, name, where = done.stdout.split()
    assert (str(len(expectations())), "nightly-reconciliation") == (count, name)
    assert where.startswith(str(installed))
