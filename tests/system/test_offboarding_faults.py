"""What goes wrong while Zeta's end is carried out: it stops, says what is left, goes on where it was, and writes each thing once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.acceptance import offboarding_expected as expected
from tests.acceptance.offboarding_estate import Kestrel
from tests.acceptance.offboarding_programme import ALPHA, Programme, Said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INCOMPLETE = 1


class Stand:
    """An estate with an approved plan, and a count of everything that was written."""

    def __init__(self, folder: Path, estate: Kestrel) -> None:
        self.estate, self.programme = estate, Programme(folder / "programme", estate)
        self.before = estate.snapshot()
        self.plan = str(self.programme.plan().json["id"])
        assert self.programme.sign(self.plan, "ada").code == 0
        self.written: Counter[str] = Counter()
        estate.calm()

    def count(self) -> None:
        """Add up what was written, and end every fault."""
        self.written += self.estate.writes()
        self.estate.calm()

    def apply(self) -> Said:
        said = self.programme.apply(self.plan)
        self.count()
        return said

    def ends_well(self) -> None:
        """All is as it would be without any fault."""
        wanted = expected.switched_off(self.before, self.estate.ids)
        assert [] == expected.differences(wanted, expected.plain(self.estate.snapshot()))


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with Kestrel() as estate:
        yield Stand(tmp_path, estate)


def refused(estate: Kestrel) -> None:
    estate.aws.fail(ALPHA, "iam:UpdateAccessKey", "AccessDenied")


def write_refused(estate: Kestrel) -> None:
    estate.graph.refuse_writes("/v1.0/users", method="PATCH")


def answer_lost(estate: Kestrel) -> None:
    estate.front.spoil("POST", "identity/entity/id", "lose", times=1)


def cloud_goes_down(estate: Kestrel) -> None:
    estate.gcp.meanwhile("iam.projects.serviceAccounts.disable", lambda: estate.gcp.break_answer("unavailable", "*"))


FAULTS = (write_refused, cloud_goes_down, refused)


def test_each_fault_stops_it_and_it_goes_on_after(stand: Stand) -> None:
    answer_lost(stand.estate)
    for fault in FAULTS:
        fault(stand.estate)
        said = stand.apply()
        assert said.code == INCOMPLETE, said.err
        assert said.json["left"], fault.__name__
        assert said.json["certificate"]["state"] == "incomplete"
    assert stand.apply().json["left"] == []
    stand.ends_well()
    # Only what was refused or unanswered was asked for again; tokens are all revoked by the same path.
    twice = {what for what, times in stand.written.items() if times > 1 and not what.startswith("aws")}
    assert set() == {what for what in twice if what.split()[0] not in {"azure", "gcp"} and not what.endswith("auth/token/revoke-accessor")}
