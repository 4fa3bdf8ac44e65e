"""The service-level findings against the replay: on random nights of a real programme, each says what the other says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import yaml

from countersign import findings_file, scaffold, verdicts
from countersign.clocks.log import WITHOUT, stories
from countersign.clocks.replay import NOT_AGREED, replay
from countersign.offboarding.journal import Journal
from countersign.programme import load
from countersign.reconciliation import reconcile
from countersign.state import State
from tests.countersign.test_clocks_replay import COLUMNS, begun, planned, rewrite
from tests.countersign.test_undertaken import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from countersign.clocks.replay import Clock
    from countersign.results import RunResult

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
START = datetime(2026, 11, 2, 2, tzinfo=UTC)  # a Monday; as in test_clocks_replay, whose plans are made from then
PARTNER = "example-partner"
ACCOUNTS = ("111111111111", "222222222222")
NAMES = (f"{PARTNER}-one", f"{PARTNER}-two", f"{PARTNER}-three", "gone-one", "gone-two", "ours")
OFFICE = {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00"}
NIGHTS = 9
SEED = 300
"""One whose nights have every case; whatever changes what is drawn may take another."""


@dataclass
class Estate:
    """A programme whose nights are drawn."""

    folder: Path
    rng: Random
    at: datetime = START
    last: RunResult | None = None
    old: set[tuple[str, str]] = field(default_factory=set)
    """(account, user) whose key is old."""
    plans: int = 0
    asked: float = 0
    """When the last plan was made, in days since the start."""
    exceptions: int = 0

    def night(self) -> RunResult:
        """Change this and that, and run."""
        self.at += self.rng.choice((DAY, DAY, DAY, 3 * DAY, 5 * HOUR))
        self._register()
        for place in [(account, name) for account in ACCOUNTS for name in NAMES]:
            if self.rng.random() < 0.3:
                self.old ^= {place}
        unread = {account for account in ACCOUNTS if self.rng.random() < 0.45}
        for account in ACCOUNTS:
            file = self.folder / "exports" / account / "report.csv"
            file.write_text("not a report\n" if account in unread else self._report(account), encoding="utf-8")
        if self.last is not None:
            self._exceptions()
            self._plans()
        desk, away = self.folder / "tickets", self.folder / "away"
        if self.rng.random() < 0.4:
            desk.rename(away)
        self.last = reconcile(load(self.folder), self.at)
        if away.exists():
            away.rename(desk)
        return self.last

    def _report(self, account: str) -> str:
        rows = []
        for name in NAMES:
            made = START - 400 * DAY if (account, name) in self.old else self.at - DAY
            made = made.replace(hour=0)
            used = (self.at - DAY).isoformat()
            rows.append(
                f"{name},arn:aws:iam::{account}:user/{name},2024-01-01T00:00:00+00:00,false,N/A,N/A,N/A,false,true,{made.isoformat()},{used},"
                "eu-west-2,s3,false,N/A,N/A,N/A,N/A,false,N/A,false,N/A"
            )
        return "\n".join([COLUMNS, *rows]) + "\n"

    def _register(self) -> None:
        """Now and then the contract or the service levels change, and clocks that run must not care."""
        register, rng = self.folder / "register", self.rng
        if rng.random() < 0.4:
            level = {"rotate": rng.choice(("P2D", "P3D", "P5D", "PT20H", "PT6H", None)), "escalate": rng.choice(("PT4H", "PT30H", None))}
            detect = rng.choice(("PT24H", "PT6H", "P3D"))
            revoke = rng.choice(("PT4H", "P2D", "P5D"))
            for name, more in (("default", {}), ("contract-ended", {"revoke": revoke})):
                rewrite(register / "controls" / f"{name}.yaml", "slas", {**level, "detect": detect, **more})
        if rng.random() < 0.4:
            cap = rng.choice(("PT12H", "P1D", "P4D"))
            rewrite(register / "partners" / f"{PARTNER}.yaml", "contract", {"business_hours": rng.choice((None, OFFICE)), "pause_cap": cap})
        if rng.random() < 0.2:
            closed = sorted({(START + rng.randrange(30) * DAY).date() for _ in range(3)})
            rewrite(
                register / "customer.yaml", "customer", {"closed": closed, "timezone": rng.choice(("UTC", "Europe/London", "Asia/Kolkata"))}
            )

    def _standing(self) -> list[dict[str, Any]]:
        assert self.last is not None
        rows = findings_file.read(self.last.evidence / findings_file.NAME)
        return [row for row in rows if row["state"] != "resolved" and row["control"] not in WITHOUT and row["subject_kind"] == "credential"]

    def _exceptions(self) -> None:
        for row in self._standing():
            if self.rng.random() < 0.12:
                self.exceptions += 1
                name = f"EX-{self.exceptions:04}"
                accepted = {
                    "exception": name, "control": row["control"], "subject": row["subject"], "reason": "frozen", "compensating_control": "a list",
                    "exit_criteria": "rotated", "requested_by": f"{PARTNER}/operator", "approved_by": "business-owner",
                    "approved_on": self.at.date() - DAY, "expires": self.at.date() + self.rng.randrange(4) * DAY,
                }  # fmt: skip
                (self.folder / "register" / "exceptions" / f"{name}.yaml").write_text(yaml.safe_dump(accepted), encoding="utf-8")

    def _plans(self) -> None:
        with State(f"sqlite:///{self.folder / 'state.db'}") as ledger:
            journal = Journal(ledger.engine)
            for row in self._standing():
                if self.rng.random() < 0.15:
                    self.plans += 1
                    self.asked = asked = max(self.asked + 0.01, (self.at - START) / DAY - self.rng.random())
                    held = planned(journal, f"plan-{self.plans}", self.rng.choice((row["subject"], row["identity"])), asked)
                    if self.rng.random() < 0.6:
                        begun(journal, held, asked + 0.3 * self.rng.random())
                        if self.rng.random() < 0.5:
                            make(journal, held, held.steps[0], START + (asked + 0.4) * DAY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "northwind"
    scaffold.init(target)
    config = target / "countersign.yaml"
    text = config.read_text(encoding="utf-8").replace("max_new_share: 0.5, max_gone_share: 0.3", "max_new_share: 1.0, max_gone_share: 1.0")
    text = text.replace("desk: {kind: local}  ", "desk: {kind: file, folder: tickets}  ")
    sources = "".join(f"  - {{name: s{account}, provider: files, path: exports/{account}/}}\n" for account in ACCOUNTS)
    config.write_text(text.replace("  - {name: exports, provider: files, path: exports/}\n", sources), encoding="utf-8")
    (target / "tickets").mkdir()
    for account in ACCOUNTS:
        (target / "exports" / account).mkdir()
    partners = target / "register" / "partners"
    gone = yaml.safe_load((partners / f"{PARTNER}.yaml").read_text(encoding="utf-8"))
    gone["partner"] = {"id": "gone", "name": "Gone"}
    gone["contract"] |= {"ends": (START - 9 * DAY).date(), "business_hours": OFFICE}
    gone["footprint"] = {"name_patterns": ["gone-*"]}
    (partners / "gone.yaml").write_text(yaml.safe_dump(gone), encoding="utf-8")
    return target


def judged(evidence: Path) -> dict[tuple[str, str], str | None]:
    """Give what the service-level controls said on a night, by fingerprint and clock."""
    with duckdb.connect() as db:
        query = "SELECT subject, sla_detect, sla_escalate, sla_rotate, sla_revoke FROM read_parquet(?) WHERE kind = 'finding'"
        rows = db.execute(query, [str(evidence / verdicts.NAME)]).fetchall()
    return {
        (subject.rpartition("/")[2], clock): said
        for subject, *every in rows
        for clock, said in zip(("detect", "escalate", "rotate", "revoke"), every, strict=True)
    }


def expected(clock: Clock, *, excepted: bool) -> str | None:
    """Give the verdict that a clock of the replay stands for; None: nothing is asked."""
    if clock.why == NOT_AGREED or (excepted and clock.clock != "detect"):
        return None
    if clock.state == "missed":
        assert clock.late or clock.ended is not None
        return "fail" if clock.late or clock.clock == "detect" else "pass"  # told late, but told
    return "unknown" if clock.state == "unknown" else "pass"


def replayed(folder: Path, night: RunResult, stood: set[str]) -> Iterator[tuple[tuple[str, str], str | None, Clock]]:
    """Yield what the replay says of each finding that stood before a night and after it; tickets of the night itself come after the verdict."""
    rows = {row["fingerprint"]: row for row in findings_file.read(night.evidence / findings_file.NAME)}
    for story in stories(load(folder), night.as_of):
        row = rows.get(story.fingerprint)
        if row is None or row["state"] == "resolved" or story.fingerprint not in stood:
            continue
        known = tuple(event for event in story.events if event.kind != "told" or event.source != night.run)
        clocks = replay(replace(story, events=known), night.as_of)
        for clock in clocks:
            if clock.life == max(each.life for each in clocks):
                yield (story.fingerprint, clock.clock), expected(clock, excepted=row["state"] == "excepted"), clock
                if clock.clock == story.ends_by and clock.started is not None:
                    assert row["due"] == next((rung.at for rung in clock.rungs if rung.percent == 100), None)


def test_the_findings_say_what_the_clocks_say(folder: Path) -> None:
    estate = Estate(folder, Random(SEED))  # noqa: S311 -- a sample, no secret
    seen: Counter[tuple[str, str | None]] = Counter()
    stood: set[str] = set()
    for number in range(NIGHTS):
        if number == NIGHTS - 2:
            lose(folder)
        night = estate.night()
        assert night.guard is None
        said = judged(night.evidence)
        clocks = tuple(replayed(folder, night, stood))
        assert {key: wanted for key, wanted, _ in clocks} == {key: said.get(key) for key, _, _ in clocks}
        seen.update((name, wanted) for (_, name), wanted, _ in clocks)
        seen.update(("in business hours", wanted) for _, wanted, clock in clocks if clock.hours is not None)
        seen.update(("paused", wanted) for _, wanted, clock in clocks if clock.pauses)
        stood = {row["fingerprint"] for row in findings_file.read(night.evidence / findings_file.NAME) if row["state"] != "resolved"}
    ways = ("detect", "escalate", "rotate", "revoke", "in business hours", "paused")
    assert {(way, wanted) for way in ways for wanted in ("pass", "fail", "unknown")} <= set(seen)
    assert {("escalate", None), ("rotate", None)} <= set(seen)


def lose(folder: Path) -> None:
    """Lose what says what was agreed on one of the nights, and on another all but its statement."""
    entries = sorted(entry for entry in (folder / "evidence").iterdir() if (entry / "register.json").exists())
    (entries[3] / "register.json").unlink()
    for file in ("register.json", "findings.parquet", "inventory/looked.parquet"):
        (entries[5] / file).unlink()
