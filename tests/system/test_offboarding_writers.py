"""A plan is not begun where whoever would write is the one that reads, or nobody at all, in any of its clouds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.offboarding_case import Case
from tests.acceptance.offboarding_estate import Kestrel
from tests.acceptance.offboarding_programme import EXTERNAL_ID, READER, Programme, sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with Kestrel() as estate:
        yield Case(estate, Programme(tmp_path_factory.mktemp("kestrel") / "programme", estate))


def azure_as_reader(case: Case) -> dict[str, str]:
    reading = case.estate.reading
    names = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
    return {f"COUNTERSIGN_REVOKE_{name}": reading[name] for name in names}


def vault_as_reader(case: Case) -> dict[str, str]:
    return {"COUNTERSIGN_REVOKE_VAULT_TOKEN": case.estate.reading["VAULT_TOKEN"]}


@pytest.mark.parametrize("given", [azure_as_reader, vault_as_reader])
def test_the_reader_s_credentials_revoke_nothing(case: Case, given: Callable[[Case], dict[str, str]]) -> None:
    with case.approved(case.statement, "ada"):
        case.refuses("both reads and revokes", environment={**case.programme.environment, **given(case)})


def test_the_reader_s_role_revokes_nothing(case: Case) -> None:
    path = case.programme.folder / "countersign.yaml"
    whole = path.read_text()
    path.write_text(sources(case.estate, revoke_role=READER, revoke_external_id=EXTERNAL_ID))
    with case.approved(case.statement, "ada"):
        case.refuses("both reads and revokes")
    path.write_text(whole)


def test_without_the_revoker_s_credentials_nothing_is_changed(case: Case) -> None:
    with case.approved(case.statement, "ada"):
        case.refuses("COUNTERSIGN_REVOKE_", environment=case.estate.reading)
