"""Zeta is taken off four clouds in one go: what is its own ends, nothing else changes by a byte, and anybody can check the certificate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hvac
import pytest

from countersign.evidence import verify
from tests.acceptance import offboarding_expected as expected
from tests.acceptance.canary_sweep import Sweep
from tests.acceptance.offboarding_estate import ANSI, CANARY, HOSTILE, Kestrel
from tests.acceptance.offboarding_programme import Programme, Said

if TYPE_CHECKING:
    from collections.abc import Iterator


class End:
    """Zeta's end up to the certificate, done once for all tests here, with everything that was said."""

    def __init__(self, folder: Path, estate: Kestrel) -> None:
        self.folder, self.estate = folder, estate
        self.programme = Programme(folder / "programme", estate)
        self.said: list[Said] = []
        self.before = estate.snapshot()
        self.plan = str(self.note(self.programme.plan(), 0).json["id"])
        self.planned = estate.snapshot()
        self.note(self.programme.sign(self.plan, "ada"), 0)
        self.applied = self.note(self.programme.apply(self.plan))
        self.after = estate.snapshot()

    def note(self, said: Said, code: int | None = None) -> Said:
        self.said.append(said)
        assert code in {None, said.code}, said.err
        return said

    def certificate(self) -> Path:
        return Path(self.applied.json["certificate"]["evidence"]) / "certificate.dsse.json"


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    with Kestrel() as estate:
        yield End(tmp_path_factory.mktemp("end"), estate)


def test_a_plan_changes_nothing(end: End) -> None:
    assert [] == expected.differences(end.before, end.planned)


def test_all_of_the_partner_s_is_off_and_nothing_else_changed(end: End) -> None:
    wanted = expected.switched_off(end.before, end.estate.ids)
    assert [] == expected.differences(wanted, expected.plain(end.after))


def test_the_real_server_refuses_the_partner_s_tokens_and_takes_all_others(end: End) -> None:
    works = {}
    for name, client in end.estate.tokens.items():
        try:
            client.auth.token.lookup_self()
            works[name] = True
        except hvac.exceptions.Forbidden:
            works[name] = False
    assert {name: not name.startswith("zeta") for name in works} == works


def test_the_certificate_verifies_in_an_empty_folder_without_a_network(end: End, tmp_path: Path) -> None:
    shutil.copy(str(verify.__file__), tmp_path / "verify.py")
    shutil.copy(end.certificate(), tmp_path)
    shutil.copy(end.programme.folder / "keys" / "evidence.pub.pem", tmp_path)

    def verified() -> int:
        words = [sys.executable, "-I", "verify.py", "certificate.dsse.json", "--key", "evidence.pub.pem"]
        return subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, env={"PATH": os.environ["PATH"]}).returncode

    assert verified() == 0
    file = tmp_path / "certificate.dsse.json"
    raw = file.read_bytes()
    whole = json.loads(raw)
    said = json.loads(b64decode(whole["payload"]))
    for change in ("signature", "payload"):
        spoilt = json.loads(file.read_text())
        if change == "signature":
            spoilt["signatures"] = []
        else:
            spoilt["payload"] = whole["payload"][:-8] + "AAAA" + whole["payload"][-4:]
        file.write_text(json.dumps(spoilt))
        assert verified() != 0, change
        file.write_bytes(raw)
    assert said["predicate"]["plan"]["id"] == end.plan
    for name in ("plan.json", "steps.json"):
        shutil.copy(end.certificate().parent / name, tmp_path)
    assert verified() == 0
    steps = (tmp_path / "steps.json").read_text()
    (tmp_path / "steps.json").write_text(steps.replace("zeta-batch", "zeta-botch"))
    assert verified() != 0


def test_the_certificate_says_ended_of_all_that_ended_and_lists_what_lives_on(end: End) -> None:
    said: dict[str, Any] = json.loads(b64decode(json.loads(end.certificate().read_text())["payload"]))["predicate"]
    assert {"ended"} == {row["verdict"] for row in said["holdings"]}
    assert said["state"] == "complete"
    assert all(row["about"] == "session" for row in said["residual"])
    assert len(said["scopes"]) == len(end.programme.run("offboard", "certify", end.plan, "--json").json["said"]["scopes"])


def test_no_secret_is_in_what_it_leaves_or_says(end: End) -> None:
    estate = end.estate
    secrets = {f"vault {number}": one.encode() for number, one in enumerate(sorted(estate.vault.given_out))}
    secrets |= {f"entra {name}": text.encode() for name, text in estate.tenant.secret_texts.items()}
    secrets |= {
        name: value.encode()
        for name, value in {**estate.reading, **estate.revoking}.items()
        if "SECRET" in name or "TOKEN" in name
        if value
    }
    secrets |= {"canary": CANARY.encode()}
    for where, account in (("alpha", estate.alpha), ("beta", estate.beta)):
        secrets |= {f"{where} {name}": key.secret_access_key.encode() for name, key in account.backend.access_keys.items()}
    sweep = Sweep(secrets)
    sweep.folder(end.programme.folder)
    for number, said in enumerate(end.said):
        sweep.bytes(f"output {number}", said.out.encode() + said.err.encode())
    assert set() == sweep.found
    assert sweep.looked > 100_000


def test_names_that_somebody_chose_to_hurt_are_only_text(end: End) -> None:
    shown = end.programme.run("offboard", "plan", "zeta", "--as", "rex", "--reason", f"{HOSTILE} {ANSI}", "--all", "--dry-run")
    for text in (shown.out, shown.err, *(said.out + said.err for said in end.said)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    for page in end.programme.folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert HOSTILE not in text
        assert "<script" not in text.replace("<script>", "", 0) or "alert('delta')" not in text


def test_what_was_used_is_not_used_again_and_all_is_given_back(end: End) -> None:
    programme, estate = end.programme, end.estate
    assert end.note(programme.apply(end.plan)).code == 2
    assert [] == expected.differences(end.after, estate.snapshot())
    asked = end.note(programme.run("offboard", "rollback", end.plan, "--as", "rex", "--reason", "too early", "--json"), 0)
    back = str(asked.json["id"])
    assert end.note(programme.apply(back)).code == 2
    end.note(programme.sign(back, "ben"), 0)
    end.note(programme.apply(back), 0)
    wanted = expected.given_back(end.before, estate.ids)
    assert [] == expected.differences(wanted, expected.plain(estate.snapshot()))
    assert end.note(programme.apply(end.plan)).code == 2
    assert end.note(programme.apply(back)).code == 2
    assert [] == expected.differences(wanted, expected.plain(estate.snapshot()))


def test_after_the_watch_two_approve_and_nothing_of_the_partner_s_is_left(end: End) -> None:
    programme, estate = end.programme, end.estate
    plan = str(end.note(programme.plan(), 0).json["id"])
    end.note(programme.sign(plan, "ben"), 0)
    assert end.note(programme.apply(plan)).code in {0, 1}
    assert end.note(programme.plan("--delete", plan)).code != 0, "it is watched for 14 days"
    programme.customer(revocation={"watch": "P0D", "large": 100, "owed_within": "PT24H", "patience": "PT2S"})
    last = str(end.note(programme.plan("--delete", plan), 0).json["id"])
    before = estate.snapshot()
    end.note(programme.sign(last, "ada"), 0)
    for words in ((), ("--break-glass", "--as", "ada", "--key", "/dev/null", "--reason", "now")):
        assert end.note(programme.apply(last, *words)).code == 2
    assert [] == expected.differences(before, estate.snapshot())
    end.note(programme.sign(last, "ben"), 0)
    assert end.note(programme.apply(last)).code in {0, 1}
    now = expected.plain(estate.snapshot())
    provider = now["gcp"]["projects"]["kestrel-prod"]["pools"]["ci"]["providers"].pop("zeta-ci", {"state": "DELETED"})
    assert provider["state"] == "DELETED"
    wanted = expected.deleted(end.before, estate.ids)
    assert [] == expected.differences(wanted, now)
