from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.gcp.federation import enabled, parties
from connectors.gcp.members import Party, member, party
from connectors.gcp.use import Seen, use
from countersign.fields import lines, pairs

POOL = "iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci"
WORKFORCE = "iam.googleapis.com/locations/global/workforcePools/staff"
START, END = datetime(2026, 8, 20, 7, tzinfo=UTC), datetime(2026, 11, 19, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "kind", "track", "home", "agent"),
    [
        ("user:Maria@Northwind.example", "user", "human", "northwind.example", False),
        ("user:nobody", "user", "human", None, False),
        ("group:ops@acme.example", "group", "delegation", "acme.example", False),
        ("domain:Acme.example", "domain", "delegation", "acme.example", False),
        ("allUsers", "anyone", "delegation", None, False),
        ("allAuthenticatedUsers", "anyone", "delegation", None, False),
        ("serviceAccount:bot@acme-ops.iam.gserviceaccount.com", "service-account", "machine", "acme-ops", False),
        ("serviceAccount:bot@ops.acme.example.iam.gserviceaccount.com", "service-account", "machine", "acme.example:ops", False),
        ("serviceAccount:acme-ops@appspot.gserviceaccount.com", "service-account", "machine", "acme-ops", False),
        ("serviceAccount:42-compute@developer.gserviceaccount.com", "service-account", "machine", "42", False),
        ("serviceAccount:42@cloudbuild.gserviceaccount.com", "service-account", "machine", "42", False),
        ("serviceAccount:acme-ops.svc.id.goog[default/runner]", "service-account", "machine", "acme-ops", False),
        ("serviceAccount:service-42@gcp-sa-pubsub.iam.gserviceaccount.com", "service-account", "machine", "42", True),
        ("serviceAccount:service-org-42@gcp-sa-logging.iam.gserviceaccount.com", "service-account", "machine", "42", True),
        ("serviceAccount:service-42@compute-system.iam.gserviceaccount.com", "service-account", "machine", "42", True),
        ("serviceAccount:42@cloudservices.gserviceaccount.com", "service-account", "machine", "42", True),
        ("serviceAccount:service-42@evil-project.iam.gserviceaccount.com", "service-account", "machine", "evil-project", False),
        (f"principalSet://{POOL}/*", "pool", "delegation", "1", False),
        (f"principal://{POOL}/subject/a/b", "pool", "delegation", "1", False),
        (f"principalSet://{WORKFORCE}/*", "workforce", "delegation", None, False),
        ("principalSet://cloudresourcemanager.googleapis.com/projects/7/type/ServiceAccount", "principal-set", "delegation", "7", False),
        ("principalSet://goog/public:all", "principal-set", "delegation", None, False),
        ("projectOwner:acme-ops", "project-role", "delegation", "acme-ops", False),
        ("deleted:user:a@b.example?uid=1", "deleted", "delegation", None, False),
        ("somethingNew:x", "unknown", "delegation", None, False),
        ("", "unknown", "delegation", None, False),
    ],
)
def test_what_a_member_is(written: str, kind: str, track: str, home: str | None, agent: bool) -> None:  # noqa: FBT001 -- a column of the table
    one = member(written)
    assert (kind, track, home, agent, written) == (one.kind, one.track, one.home, one.agent, one.text)


@pytest.mark.parametrize(
    ("written", "project", "expected"),
    [
        ("user:a@acme.example", None, Party("email-domain", "acme.example", "a@acme.example")),
        ("group:a@acme.example", None, Party("email-domain", "acme.example", None)),
        ("allAuthenticatedUsers", None, Party("anyone", "*", None)),
        (f"principalSet://{POOL}/*", "acme-ops", Party("gcp-principal", "acme-ops", None)),
        (f"principalSet://{POOL}/attribute.repo/a/b", None, Party("gcp-principal", "1", "ci/attribute.repo/a/b")),
        ("projectOwner:acme-ops", None, Party("gcp-principal", "acme-ops", None)),
        (f"principalSet://{WORKFORCE}/*", None, None),
        ("deleted:user:a@b.example", None, None),
    ],
)
def test_who_stands_behind_a_member(written: str, project: str | None, expected: Party | None) -> None:
    assert expected == party(member(written), project)


@given(
    st.one_of(
        st.text(), st.builds("{}{}".format, st.sampled_from(["user:", "serviceAccount:", f"principal://{POOL}/", "deleted:"]), st.text())
    )
)
def test_no_member_is_too_odd(written: str) -> None:
    one = member(written)
    found = party(one, None)
    assert written == one.text
    assert found is None or found.party


@given(
    st.one_of(st.none(), st.builds(Seen, *[st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))] * 3)),
    st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
    st.one_of(st.none(), st.just("denied")),
)
def test_use_is_unknown_with_a_reason_or_known_without_one(seen: Seen | None, created: datetime | None, gap: str | None) -> None:
    found = use(seen, created, gap)
    assert (found.state == "unknown") is (found.why is not None)
    assert (found.state == "known") is (found.at is not None)
    assert found.state != "never" or (created is not None and seen is not None and seen.start is not None and created >= seen.start)


@pytest.mark.parametrize(("created", "state"), [(START, "never"), (datetime(2026, 8, 20, 6, 59, tzinfo=UTC), "unknown"), (None, "unknown")])
def test_never_begins_where_the_watch_does(created: datetime | None, state: str) -> None:
    assert state == use(Seen(None, START, END), created, None).state


def test_the_pairs_of_a_description() -> None:
    assert {"owner": "maria", "purpose": "nightly; no"[:7]} == pairs(
        *lines("owner=maria; purpose:nightly ;x"), *lines("owner=dev"), *lines(None)
    )
    assert {} == pairs(*lines("see https://wiki.example/page"))


@pytest.mark.parametrize(
    ("pool", "provider", "expected"),
    [
        ({}, {}, True),
        ({"state": "ACTIVE"}, {"disabled": False}, True),
        ({"disabled": True}, {}, False),
        ({}, {"disabled": True}, False),
        ({"state": "DELETED"}, {}, False),
        ({"state": 99}, {}, None),
        ({"state": "NEW_VALUE"}, {"disabled": True}, False),
    ],
)
def test_whether_tokens_are_exchanged(pool: dict[str, object], provider: dict[str, object], expected: bool | None) -> None:  # noqa: FBT001 -- a column of the table
    assert enabled(pool, provider) is expected


@pytest.mark.parametrize(
    "row", [{}, {"saml": {"idpMetadataXml": "<x/>"}}, {"x509": {"trustStore": {"trustAnchors": [{"pemCertificate": "no"}]}}}, {"oidc": []}]
)
def test_an_issuer_that_cannot_be_read_is_not_nobody(row: dict[str, object]) -> None:
    assert parties(row) is None
