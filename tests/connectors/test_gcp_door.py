from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2.credentials import Credentials

from connectors import gcp
from connectors.gcp import door
from connectors.gcp.door import DELAYS_S, LONGEST_WAIT_S, Door
from connectors.gcp.permissions import ACCOUNTS, API_KEYS, CALLS, KEYS, POOLS, SEARCH_POLICIES
from countersign.errors import ReadError
from countersign.identity import Coverage, Credential, Identity, Observation, Record
from countersign.programme import GcpSource
from countersign.reading import ReadRequest, Scope
from sandbox.gcp import SandboxGcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


@pytest.fixture
def cloud() -> Iterator[SandboxGcp]:
    with SandboxGcp() as running:
        fill(running)
        yield running


def fill(cloud: SandboxGcp) -> None:
    project = cloud.project("northwind-prod", "100000000001")
    for number in range(3):
        account = project.service_account(f"app-{number}")
        project.key(account, f"k{number}", NOW - timedelta(days=5))
        project.used(account, NOW - timedelta(days=4))
    project.pool("ci")
    project.provider("ci", "github", oidc="https://token.actions.githubusercontent.com")
    project.api_key("u-1", "Maps", NOW)
    project.bind("roles/viewer", "user:a@acme.example")


def source_of(cloud: SandboxGcp, **different: Any) -> GcpSource:
    usual = {"name": "google", "projects": ("northwind-prod",), "endpoint": cloud.endpoint, "rest": cloud.rest, "plaintext": True}
    return GcpSource(**(usual | different))


def read(source: GcpSource, waited: Callable[[float], None] = lambda _seconds: None, **more: Any) -> list[Record]:
    request = ReadRequest(source=source, scope=Scope("google", "gcp", "northwind-prod"), run="run:7", now=lambda: NOW)
    return list(gcp.read(request, enter=lambda one: Door(one, sleep=waited, **more)))


def rows(found: list[Record]) -> dict[str, Coverage]:
    return {one.operation: one for one in found if isinstance(one, Coverage)}


def subjects(found: list[Record]) -> set[str]:
    return {one.uid for one in found if isinstance(one, Identity | Credential)}


@pytest.mark.parametrize(("told", "waits"), [(None, set(DELAYS_S[:1])), (7, {7.0}), (100_000, {LONGEST_WAIT_S})])
def test_a_throttled_call_is_made_again_after_the_wait_it_was_told(cloud: SandboxGcp, told: float | None, waits: set[float]) -> None:
    usual = subjects(read(source_of(cloud)))
    cloud.throttle(2, retry_after_s=told)
    waited: list[float] = []
    found = read(source_of(cloud), waited.append)
    assert usual == subjects(found)
    assert {"complete"} == {one.state for one in rows(found).values()}
    assert waits == set(waited)
    refused = {call.method.partition(".")[0] for call in cloud.calls if call.status == "RESOURCE_EXHAUSTED"}
    assert {"iam", "cloudasset"} <= refused, "both wires were throttled"


def test_a_service_that_stays_busy_fails_its_own_operations_only(cloud: SandboxGcp) -> None:
    cloud.throttle(1, operation="cloudasset.googleapis.com")
    waited: list[float] = []
    found = rows(read(source_of(cloud), waited.append))
    assert list(DELAYS_S) == waited, "and only the first of them waits that long"
    assert {name for name, one in found.items() if one.state == "failed"} == {name for name in found if name.startswith("cloudasset")}
    assert "busy or out of reach at every try: Quota exceeded" in str(found[SEARCH_POLICIES.name].error)


def test_an_outage_of_a_moment_is_not_seen(cloud: SandboxGcp) -> None:
    cloud.break_answer("unavailable", times=4)
    assert {"complete"} == {one.state for one in rows(read(source_of(cloud))).values()}


@pytest.mark.parametrize("operation", [ACCOUNTS, SEARCH_POLICIES, POOLS, API_KEYS], ids=lambda call: call.name)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("not-json", ("the answer is not JSON", "INTERNAL")),
        ("wrong-type", ("the answer is JSON, but not an object", "INTERNAL")),
        ("page-token-repeats", ("promises more, and says nothing usable",)),
    ],
)
def test_a_broken_answer_is_said_and_the_rest_is_read(cloud: SandboxGcp, operation: Any, kind: Any, said: tuple[str, ...]) -> None:
    cloud.break_answer(kind, operation.name)
    found = rows(read(source_of(cloud)))
    assert found[operation.name].state in {"failed", "partial"}
    assert any(part in str(found[operation.name].error) for part in said)
    others = {name for name, one in found.items() if one.state != "complete"} - {operation.name}
    assert others <= {"iam.projects.locations.workloadIdentityPools.providers.list"}


@pytest.mark.parametrize("operation", [ACCOUNTS, SEARCH_POLICIES, POOLS], ids=lambda call: call.name)
def test_a_row_without_its_id_is_left_out_and_counted(cloud: SandboxGcp, operation: Any) -> None:
    cloud.break_answer("missing-id", operation.name)
    row = rows(read(source_of(cloud)))[operation.name]
    assert "partial" == row.state
    assert str(row.error).startswith("left out: ")
    assert sum(row.dropped.values()) > 0


def test_a_listing_that_never_ends_is_ended(cloud: SandboxGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.gcp.paging.pages.__kwdefaults__", {"most": 30})
    cloud.break_answer("never-ends", API_KEYS.name)
    row = rows(read(source_of(cloud)))[API_KEYS.name]
    assert ("partial", "the listing did not end within 30 pages") == (row.state, row.error)


@pytest.mark.parametrize("operation", [SEARCH_POLICIES, API_KEYS], ids=lambda call: call.name)
def test_what_is_not_answered_in_time_fails_and_is_not_waited_for_again(
    cloud: SandboxGcp, monkeypatch: pytest.MonkeyPatch, operation: Any
) -> None:
    monkeypatch.setattr(door, "TIMEOUT_S", 0.3)
    cloud.slow(2, operation.name)
    found = rows(read(source_of(cloud)))
    assert ("failed", "no answer within 0.3 seconds") == (found[operation.name].state, found[operation.name].error)


def test_an_empty_page_with_a_token_is_not_the_end(cloud: SandboxGcp) -> None:
    usual = subjects(read(source_of(cloud)))
    for call in CALLS:
        if call is not KEYS:  # which has no pages
            cloud.break_answer("empty-page", call.name.partition(":")[0])
    assert usual == subjects(read(source_of(cloud)))


def test_words_that_are_not_known_yet_are_said(cloud: SandboxGcp) -> None:
    cloud.break_answer("unknown-enum")
    found = read(source_of(cloud))
    told = {name: one.error for name, one in rows(found).items() if one.state == "partial"}
    assert "left out: key of an unknown type (3 times)" == told["cloudasset.assets.list"]
    assert "a state that is not known" == told["iam.projects.locations.workloadIdentityPools.providers.list"]
    (provider,) = [one for one in found if isinstance(one, Identity) and one.kind == "workload-identity-provider"]
    assert (None, "Google gave a state that is not known") == (provider.enabled, provider.unknown["enabled"])


def test_over_tls_with_an_authority_of_its_own_and_a_token() -> None:
    with SandboxGcp(tls=True, anonymous=False) as cloud:
        fill(cloud)
        source = source_of(cloud, plaintext=False, ca=str(cloud.ca))
        found = read(source, credentials=lambda: Credentials(token=cloud.token))
        assert {"complete"} == {one.state for one in rows(found).values()}
        assert len(subjects(found)) > 6
        assert {"credentials of type Credentials"} == {one.caller for one in found if isinstance(one, Observation)}
        assert cloud.token not in repr(found)
        with pytest.raises(ReadError, match=r"no token: .* refresh"):  # the library asks for a new one, and this kind has none to give
            read(source, credentials=lambda: Credentials(token="ya29.wrong"))


def test_a_server_that_the_authority_does_not_vouch_for_is_not_asked() -> None:
    with SandboxGcp(tls=True) as cloud:
        fill(cloud)
        door_ = Door(source_of(cloud, plaintext=False), sleep=lambda _seconds: None, credentials=lambda: Credentials(token="ya29.x"))
        with pytest.raises(ReadError, match="no TLS connection"):
            door_.ask(POOLS, {"parent": "projects/northwind-prod/locations/global"})
        door_.close()
        assert [] == cloud.calls


def test_a_token_never_travels_in_clear(cloud: SandboxGcp) -> None:
    with pytest.raises(ReadError, match="never travels in clear"):
        read(source_of(cloud, plaintext=False), credentials=lambda: Credentials(token="ya29.x"))
    assert [] == cloud.calls


class OfAMachine(Credentials):
    """They learn their name from the metadata server, with the first token."""

    service_account_email = "default"

    def before_request(self, *asked: Any) -> None:
        self.service_account_email = "vm@northwind-prod.iam.gserviceaccount.com"
        super().before_request(*asked)


def test_the_caller_is_who_answers_are_given_to_not_who_was_known_before() -> None:
    with SandboxGcp(tls=True, anonymous=False) as cloud:
        fill(cloud)
        source = source_of(cloud, plaintext=False, ca=str(cloud.ca))
        known = Scope("google", "gcp", "northwind-prod", {"number": "100000000001"})  # so the first call is a listing
        request = ReadRequest(source=source, scope=known, run="run:7", now=lambda: NOW)
        found = list(gcp.read(request, enter=lambda one: Door(one, credentials=lambda: OfAMachine(token=cloud.token))))
    assert {"vm@northwind-prod.iam.gserviceaccount.com"} == {one.caller for one in found if isinstance(one, Observation)}


def test_without_credentials_it_says_what_to_set(cloud: SandboxGcp, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_at_hand() -> Credentials:
        raise DefaultCredentialsError("Your default credentials were not found.")

    monkeypatch.setattr(door, "_default_credentials", none_at_hand)
    with pytest.raises(ReadError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        gcp.scopes(source_of(cloud, plaintext=False, rest=None, projects=(), organization="1"))
    (probed,) = gcp.probe(source_of(cloud, plaintext=False, rest=None))
    assert not probed.ok


def test_a_server_that_is_not_there_is_an_error_to_try_again(cloud: SandboxGcp) -> None:
    source = source_of(cloud, endpoint="127.0.0.1:1", rest="http://127.0.0.1:1")
    with pytest.raises(ReadError, match="busy or out of reach") as caught:
        read(source)
    assert type(caught.value) is ReadError


def test_a_budget_is_spent_where_the_quotas_are_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        def __init__(self) -> None:
            self.taken, self.held = 0, 0.0

        def take(self) -> None:
            self.taken += 1

        def hold(self, seconds: float) -> None:
            self.held += seconds

    made: dict[tuple[str, ...], Counted] = {}
    asked: dict[tuple[str, ...], float] = {}

    def budget(*key: str, units: float, seconds: float) -> Counted:
        asked[key] = units * 60 / seconds
        return made.setdefault(key, Counted())

    monkeypatch.setattr("countersign.pace.budget", budget)
    with SandboxGcp(tls=True) as secure:
        fill(secure)
        secure.throttle(4, retry_after_s=3, operation=SEARCH_POLICIES.name)
        for _ in range(4):
            read(source_of(secure, plaintext=False, ca=str(secure.ca)), credentials=lambda: Credentials(token="ya29.x"))
        rates = {key[2:]: (asked[key], one.taken, one.held) for key, one in made.items()}
    assert rates == {
        ("asset-search", ""): (400, 9, 3),
        ("asset-list", ""): (100, 4, 0),
        ("iam-reads", ""): (6000, 16, 0),
        ("federation-reads", "projects/northwind-prod"): (600, 8, 0),
    }
