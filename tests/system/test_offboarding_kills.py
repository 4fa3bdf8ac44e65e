"""Zeta's end is killed at ten random moments, and started twice at once: each change is made exactly once all the same."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from tests.acceptance import offboarding_expected as expected
from tests.acceptance.offboarding_estate import Kestrel
from tests.acceptance.offboarding_programme import ALPHA, ZETA_TENANT, Programme

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

KILLS = 10
SEVERAL = {
    f"aws {ALPHA} iam:AttachUserPolicy": 4,
    f"aws {ALPHA} iam:AttachRolePolicy": 2,
    f"aws {ALPHA} iam:UpdateAccessKey": 4,
    f"aws {ALPHA} iam:RemoveClientIDFromOpenIDConnectProvider": 2,
    f"azure PATCH /v1.0/policies/crossTenantAccessPolicy/partners/{ZETA_TENANT}": 3,
    "vault POST auth/token/revoke-accessor": 2,
}
"""What is asked for more than once though each thing is changed once: these name what they change in the body of the request."""
_STEP = re.compile(rb"^(\d+) of (\d+): ")


@pytest.fixture
def approved(tmp_path: Path) -> Iterator[tuple[Programme, str]]:
    """A programme with an approved plan; what was asked so far is forgotten."""
    with Kestrel() as estate:
        programme = Programme(tmp_path / "programme", estate)
        plan = str(programme.plan().json["id"])
        assert programme.sign(plan, "ada").code == 0
        estate.calm()
        yield programme, plan


def steps_until(process: subprocess.Popen[bytes], last: int) -> int:
    """Kill it as soon as it has begun so many steps more, or let it end; give how many it began."""
    assert process.stderr is not None
    begun = 0
    for line in process.stderr:
        begun += bool(_STEP.match(line))
        if begun >= last:
            process.kill()
            break
    process.communicate()
    return begun


def repeated(estate: Kestrel) -> dict[str, int]:
    """Give what was written more than once, by operation in AWS and by address elsewhere."""
    return {what: times for what, times in estate.writes().items() if times > 1}


def test_killed_at_ten_random_moments_each_change_is_made_once(approved: tuple[Programme, str]) -> None:
    programme, plan = approved
    estate, chance = programme.estate, random.Random(20261122)  # noqa: S311 - where to kill, the same each time
    before = estate.snapshot()
    begun = [steps_until(programme.start("offboard", "apply", plan), chance.randint(1, 6)) for _ in range(KILLS)]
    assert all(begun), "each one was killed while it carried out a step"
    last = programme.apply(plan)
    assert last.json.get("left") == [], last.err
    assert expected.differences(expected.switched_off(before, estate.ids), expected.plain(estate.snapshot())) == []
    assert repeated(estate) == SEVERAL


def test_of_two_at_once_one_does_it(approved: tuple[Programme, str]) -> None:
    programme, plan = approved
    estate = programme.estate
    before = estate.snapshot()
    both = [programme.start("offboard", "apply", plan, "--json") for _ in range(2)]
    said = [process.communicate()[1].decode() for process in both]
    one, other = sorted(process.returncode for process in both)
    assert one in {0, 1}, said
    assert other == 2, said
    assert expected.differences(expected.switched_off(before, estate.ids), expected.plain(estate.snapshot())) == []
    assert repeated(estate) == SEVERAL
