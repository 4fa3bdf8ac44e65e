from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from sandbox.aws import CALLER_ACCOUNT, CALLER_KEY, CALLER_USER, Asked, Member, SandboxAws, Shown, trust
from sandbox.aws.paging import page

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
MEMBER, CLOSED, PARTNER = "111111111111", "222222222222", "999988887777"
ONCE = Config(retries={"total_max_attempts": 1})
SESSION = boto3.Session()
"""One for all: each reads the services' models anew."""


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
def cloud() -> Iterator[SandboxAws]:
    with SandboxAws() as running:
        running.at(NOW)
        yield running


def client(cloud: SandboxAws, service: str, region: str = "eu-west-2", key: str = CALLER_KEY) -> Any:
    return SESSION.client(service, region, endpoint_url=cloud.endpoint, config=ONCE, aws_access_key_id=key, aws_secret_access_key="any")


def refusal(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def seed_five_of_everything(cloud: SandboxAws) -> None:
    cloud.organization(CALLER_ACCOUNT, MEMBER, CLOSED, "333333333333", "444444444444")
    for number in (MEMBER, CLOSED, "333333333333", "444444444444", CALLER_ACCOUNT):
        cloud.delegated_administrator(number, "sso.amazonaws.com", ago(9))
        cloud.service_access(f"s{number}.amazonaws.com", ago(9))
        cloud.billing_transfer(number, ago(9))
    account = cloud.account(CALLER_ACCOUNT)
    for turn in range(5):
        account.service_credential(CALLER_USER, ago(turn))
        account.signing_certificate(CALLER_USER, ago(turn))
        account.ssh_key(CALLER_USER, ago(turn))
        account.server_certificate(f"web{turn}", ago(turn))
        account.delegation_request(PARTNER, "Acme", ago(turn))
        account.external_finding(f"arn:aws:iam::{CALLER_ACCOUNT}:role/r{turn}", PARTNER, ago(turn))
        anchor = account.trust_anchor(f"lab {turn}", ago(turn))
        account.anywhere_profile(f"lab {turn}", ago(turn))
        account.anywhere_crl(f"lab {turn}", ago(turn), anchor=anchor)
        account.anywhere_subject(f"CN=robot-{turn}", ago(turn))
        account.secret(f"db{turn}", ago(turn))
        account.event("CreateUser", ago(turn))


LISTINGS: tuple[tuple[str, str, str, str, dict[str, Any]], ...] = (
    ("organizations", "ListAccounts", "Accounts", "MaxResults", {}),
    ("organizations", "ListDelegatedAdministrators", "DelegatedAdministrators", "MaxResults", {}),
    ("organizations", "ListAWSServiceAccessForOrganization", "EnabledServicePrincipals", "MaxResults", {}),
    ("organizations", "ListOutboundResponsibilityTransfers", "ResponsibilityTransfers", "MaxResults", {"Type": "BILLING"}),
    ("iam", "ListServiceSpecificCredentials", "ServiceSpecificCredentials", "MaxItems", {"AllUsers": True}),
    ("iam", "ListSigningCertificates", "Certificates", "MaxItems", {"UserName": CALLER_USER}),
    ("iam", "ListSSHPublicKeys", "SSHPublicKeys", "MaxItems", {"UserName": CALLER_USER}),
    ("iam", "ListServerCertificates", "ServerCertificateMetadataList", "MaxItems", {}),
    ("iam", "ListDelegationRequests", "DelegationRequests", "MaxItems", {}),
    ("accessanalyzer", "ListFindings", "findings", "maxResults", {"analyzerArn": f"arn:aws:access-analyzer:eu-west-2:{CALLER_ACCOUNT}:analyzer/outside"}),
    ("accessanalyzer", "ListFindingsV2", "findings", "maxResults", {"analyzerArn": f"arn:aws:access-analyzer:eu-west-2:{CALLER_ACCOUNT}:analyzer/outside"}),
    ("rolesanywhere", "ListTrustAnchors", "trustAnchors", "pageSize", {}),
    ("rolesanywhere", "ListProfiles", "profiles", "pageSize", {}),
    ("rolesanywhere", "ListSubjects", "subjects", "pageSize", {}),
    ("rolesanywhere", "ListCrls", "crls", "pageSize", {}),
    ("secretsmanager", "ListSecrets", "SecretList", "MaxResults", {}),
    ("cloudtrail", "LookupEvents", "Events", "MaxResults", {}),
)  # fmt: skip


def pages_of(call: Any, asked: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [call(**asked)]
    while True:
        token = next(((name, answers[-1][name]) for name in ("NextToken", "nextToken", "Marker") if answers[-1].get(name)), None)
        if token is None:
            return answers
        answers.append(call(**asked, **dict([token])))


def call_of(found: Any, operation: str) -> Any:
    names = {wire: name for name, wire in found.meta.method_to_api_mapping.items()}
    return getattr(found, names[operation])


def test_every_listing_gives_five_things_on_three_pages_each_once(cloud: SandboxAws) -> None:
    seed_five_of_everything(cloud)
    for service, operation, entries, limit, asked in LISTINGS:
        region = "us-east-1" if service == "cloudtrail" else "eu-west-2"
        call = call_of(client(cloud, service, region), operation)
        answers = pages_of(call, asked | {limit: 2})
        assert (operation, [2, 2, 1]) == (operation, [len(answer[entries]) for answer in answers])
        assert 5 == len({json.dumps(one, default=str) for answer in answers for one in answer[entries]})
        cloud.pages(f"{service}:{operation}", 3)
        assert (operation, [3, 2]) == (operation, [len(answer[entries]) for answer in pages_of(call, asked)])


def test_details_of_an_account_come_on_pages_of_the_size_wanted(cloud: SandboxAws) -> None:
    for turn in range(4):
        cloud.account(CALLER_ACCOUNT).user(f"svc{turn}", ago(9))
    cloud.pages("iam:GetAccountAuthorizationDetails", 2)
    answers = pages_of(client(cloud, "iam").get_account_authorization_details, {"Filter": ["User"]})
    assert [2, 2, 1] == [len(answer["UserDetailList"]) for answer in answers]


@given(entries=st.lists(st.integers(), max_size=30), limit=st.integers(1, 20), most=st.none() | st.integers(1, 20))
def test_pages_put_together_are_the_whole(entries: list[int], limit: int, most: int | None) -> None:
    found: list[int] = []
    asked: dict[str, Any] = {"MaxResults": limit}
    while True:
        answer = page("organizations", "ListAccounts", {"Accounts": entries}, asked, most)
        assert len(answer["Accounts"]) <= min(limit, most or limit)
        found += answer["Accounts"]
        if "NextToken" not in answer:
            break
        asked["NextToken"] = answer["NextToken"]
    assert entries == found


@pytest.mark.parametrize(
    ("service", "operation", "denied", "throttled"),
    [
        ("iam", "list_users", ("AccessDenied", 403), ("Throttling", 400)),
        ("iam", "list_server_certificates", ("AccessDenied", 403), ("Throttling", 400)),
        ("organizations", "list_accounts", ("AccessDeniedException", 400), ("TooManyRequestsException", 400)),
        ("secretsmanager", "list_secrets", ("AccessDeniedException", 400), ("ThrottlingException", 400)),
        ("cloudtrail", "lookup_events", ("AccessDeniedException", 400), ("ThrottlingException", 400)),
        ("accessanalyzer", "list_analyzers", ("AccessDeniedException", 403), ("ThrottlingException", 429)),
        ("rolesanywhere", "list_subjects", ("AccessDeniedException", 403), ("ThrottlingException", 429)),
    ],
)
def test_each_protocol_denies_and_throttles_in_its_own_form(
    cloud: SandboxAws, service: str, operation: str, denied: tuple[str, int], throttled: tuple[str, int]
) -> None:
    cloud.organization(CALLER_ACCOUNT)
    found = client(cloud, service)
    call, name = getattr(found, operation), f"{service}:{found.meta.method_to_api_mapping[operation]}"
    cloud.deny(CALLER_ACCOUNT, name)
    with pytest.raises(ClientError, match=f"user/{CALLER_USER} is not authorized to perform") as caught:
        call()
    assert denied == refusal(caught)
    cloud.allow(CALLER_ACCOUNT, name)
    cloud.throttle(CALLER_ACCOUNT, name, times=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            call()
        assert throttled == refusal(caught)
    call()
    with pytest.raises(ClientError, match="security token") as caught:
        getattr(client(cloud, service, key="AKIAUNKNOWNUNKNOWN00"), operation)()
    assert denied[1] == refusal(caught)[1]


def test_the_third_lookup_within_the_time_is_one_too_many_in_its_region_only(cloud: SandboxAws) -> None:
    cloud.limit(CALLER_ACCOUNT, "cloudtrail:LookupEvents", calls=2, seconds=3600)
    events = client(cloud, "cloudtrail", "us-east-1")
    for _ in range(2):
        events.lookup_events()
    with pytest.raises(ClientError, match="Rate exceeded"):
        events.lookup_events()
    client(cloud, "cloudtrail", "eu-west-2").lookup_events()
    cloud.calm()
    events.lookup_events()


def test_a_permission_denied_under_its_own_name_covers_all_that_need_it(cloud: SandboxAws) -> None:
    analyzer = cloud.account(CALLER_ACCOUNT).analyzer("outside", ago(9))
    found = client(cloud, "accessanalyzer")
    cloud.deny("*", "access-analyzer:ListFindings")
    with pytest.raises(ClientError, match="access-analyzer:ListFindings"):
        found.list_findings_v2(analyzerArn=analyzer)
    cloud.deny(CALLER_ACCOUNT, "access-analyzer:*")
    with pytest.raises(ClientError, match="access-analyzer:ListAnalyzers"):
        found.list_analyzers()


@pytest.mark.parametrize(
    ("member", "value"), [("colour", "red"), ("status", "LOST"), ("createdAt", "yesterday"), ("arn", None), ("name", "1 bad name")]
)
def test_an_answer_of_ours_that_breaks_the_model_is_an_error_at_once_and_at_the_end(member: str, value: object) -> None:
    with pytest.raises(AssertionError, match=member):
        ask_for_a_broken_analyzer(member, value)


def ask_for_a_broken_analyzer(member: str, value: object) -> None:
    with SandboxAws() as cloud:
        cloud.account(CALLER_ACCOUNT).analyzer("outside", ago(9))
        cloud.estate.kept(CALLER_ACCOUNT, "eu-west-2", "analyzer")[0][member] = value
        with pytest.raises(ClientError, match=f"breaks the model.*{member}") as caught:
            client(cloud, "accessanalyzer").list_analyzers()
        assert ("InternalServerException", 500) == refusal(caught)


def test_requests_are_held_to_the_model(cloud: SandboxAws) -> None:
    cloud.organization(CALLER_ACCOUNT)
    with pytest.raises(ClientError, match="no more than 20") as caught:
        client(cloud, "organizations").list_accounts(MaxResults=21)
    assert ("InvalidInputException", 400) == refusal(caught)
    with pytest.raises(ClientError, match="enum value set"):
        client(cloud, "organizations").list_outbound_responsibility_transfers(Type="FRIENDSHIP")
    with pytest.raises(ClientError, match=r"ValidationError.*no more than 1000"):
        client(cloud, "iam").list_users(MaxItems=1001)
    with pytest.raises(ClientError, match="InvalidNextTokenException"):
        client(cloud, "secretsmanager").list_secrets(NextToken="from-elsewhere")
    for service, target, body in (
        ("organizations", "AWSOrganizationsV20161128.ListAccounts", '{"PageSize": 5}'),
        ("organizations", "AWSOrganizationsV20161128.ListAccounts", '["no object"]'),
        ("secretsmanager", "secretsmanager.ListSecrets", "not json"),
        ("secretsmanager", "secretsmanager.NoSuchThing", "{}"),
    ):
        assert 400 == raw(cloud, service, body, {"X-Amz-Target": target}).status_code


def raw(cloud: SandboxAws, service: str, body: str, headers: dict[str, str]) -> requests.Response:
    request = AWSRequest("POST", cloud.endpoint + "/", data=body, headers={"Content-Type": "application/x-amz-json-1.1", **headers})
    SigV4Auth(Credentials(CALLER_KEY, "any"), service, "us-east-1").add_auth(request)
    return requests.post(request.url, data=body, headers=dict(request.headers.items()), timeout=10)


@pytest.mark.parametrize(
    ("service", "operation", "asked", "answer"),
    [
        ("iam", "simulate_principal_policy", {"PolicySourceArn": f"arn:aws:iam::{CALLER_ACCOUNT}:user/x", "ActionNames": ["s3:GetObject"]}, ("InvalidAction", 400)),
        ("cloudtrail", "list_trails", {}, ("UnknownOperationException", 400)),
        ("rolesanywhere", "create_profile", {"name": "x", "roleArns": []}, ("UnknownOperationException", 404)),
        ("secretsmanager", "get_secret_value", {"SecretId": "db"}, ("AccessDeniedException", 400)),
    ],
)  # fmt: skip
def test_what_it_does_not_know_is_refused_and_never_a_server_error(
    cloud: SandboxAws, service: str, operation: str, asked: dict[str, Any], answer: tuple[str, int]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(cloud, service), operation)(**asked)
    assert answer == refusal(caught)


def test_broken_answers_come_as_demanded(cloud: SandboxAws) -> None:
    cloud.organization(CALLER_ACCOUNT, MEMBER)
    found, iam = client(cloud, "organizations"), client(cloud, "iam")
    for how in ("not-parseable", "cut"):
        cloud.spoil(CALLER_ACCOUNT, "organizations:ListAccounts", how, times=1)
        assert "Accounts" not in found.list_accounts()  # botocore takes anything for an answer here
        cloud.spoil(CALLER_ACCOUNT, "iam:ListUsers", how, times=1)
        with pytest.raises(ResponseParserError):
            iam.list_users()
    cloud.spoil(CALLER_ACCOUNT, "organizations:ListAccounts", "wrong-type", times=1)
    with pytest.raises(AttributeError):  # botocore's own parser stumbles over it
        found.list_accounts()
    cloud.spoil(CALLER_ACCOUNT, "organizations:ListAccounts", "empty-page", times=1)
    first, second = pages_of(found.list_accounts, {})
    assert ([], 2) == (first["Accounts"], len(second["Accounts"]))
    cloud.fail(CALLER_ACCOUNT, "iam:ListUsers", "ServiceFailure", "Something broke", times=1)
    with pytest.raises(ClientError) as caught:
        iam.list_users()
    assert ("ServiceFailure", 500) == refusal(caught)
    assert 1 == len(iam.list_users()["Users"])


@pytest.mark.parametrize(
    ("service", "operation", "token"),
    [("organizations", "list_accounts", "NextToken"), ("iam", "get_account_authorization_details", "Marker")],
)
def test_endless_answers_hand_out_a_new_token_for_ever(cloud: SandboxAws, service: str, operation: str, token: str) -> None:
    cloud.organization(CALLER_ACCOUNT)
    found = client(cloud, service)
    cloud.spoil("*", f"{service}:{found.meta.method_to_api_mapping[operation]}", "endless")
    tokens: list[str] = []
    for _ in range(20):
        answer = getattr(found, operation)(**({token: tokens[-1]} if tokens else {}))
        tokens.append(answer[token])
    assert 20 == len(set(tokens))


def test_an_organisation_tells_its_members_no_more_than_they_may_know(cloud: SandboxAws) -> None:
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        client(cloud, "organizations").describe_organization()
    cloud.organization(CALLER_ACCOUNT, Member(MEMBER, tags={"partner": "acme"}), Member(CLOSED, state="CLOSED"), retired_status=True)
    for number in (MEMBER, PARTNER):
        cloud.account(number).user("reader", ago(9))
    inside, outside = (client(cloud, "organizations", key=cloud.account(number).key("reader", ago(9))) for number in (MEMBER, PARTNER))
    assert CALLER_ACCOUNT == inside.describe_organization()["Organization"]["MasterAccountId"]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        inside.list_accounts()
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        outside.list_accounts()
    cloud.delegated_administrator(MEMBER, "access-analyzer.amazonaws.com", ago(9))
    found = {one["Id"]: (one["State"], one["Status"]) for one in inside.list_accounts()["Accounts"]}
    assert {CALLER_ACCOUNT: ("ACTIVE", "ACTIVE"), MEMBER: ("ACTIVE", "ACTIVE"), CLOSED: ("CLOSED", "SUSPENDED")} == found
    assert [{"Key": "partner", "Value": "acme"}] == inside.list_tags_for_resource(ResourceId=MEMBER)["Tags"]
    services = inside.list_delegated_services_for_account(AccountId=MEMBER)["DelegatedServices"]
    assert [("access-analyzer.amazonaws.com", ago(9))] == [(one["ServicePrincipal"], one["DelegationEnabledDate"]) for one in services]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        inside.list_outbound_responsibility_transfers(Type="BILLING")


def test_what_outside_reaches_is_found_filtered_and_detailed_in_its_region(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    account.external_finding(f"arn:aws:iam::{CALLER_ACCOUNT}:role/deploy", PARTNER, ago(9), condition={"sts:ExternalId": "k-1"})
    account.external_finding(
        "arn:aws:s3:::drop", {"AWS": "*"}, ago(9), resource_type="AWS::S3::Bucket", actions=("s3:GetObject",), public=True
    )
    account.external_finding("arn:aws:s3:::old", "*", ago(9), resource_type="AWS::S3::Bucket", status="RESOLVED")
    found = client(cloud, "accessanalyzer")
    (analyzer,) = found.list_analyzers(type="ACCOUNT")["analyzers"]
    asked = {"analyzerArn": analyzer["arn"], "filter": {"status": {"eq": ["ACTIVE"]}, "resourceType": {"neq": ["AWS::IAM::Role"]}}}
    (bucket,) = found.list_findings_v2(**asked)["findings"]
    detail = found.get_finding_v2(analyzerArn=analyzer["arn"], id=bucket["id"])["findingDetails"]
    assert [{"externalAccessDetails": {"action": ["s3:GetObject"], "condition": {}, "isPublic": True, "principal": {"AWS": "*"}}}] == detail
    (role,) = found.list_findings(analyzerArn=analyzer["arn"], filter={"principal.AWS": {"contains": [PARTNER]}})["findings"]
    assert ({"sts:ExternalId": "k-1"}, False) == (role["condition"], role["isPublic"])
    assert [] == client(cloud, "accessanalyzer", "eu-west-1").list_analyzers()["analyzers"]
    unused = account.analyzer("idle", ago(9), kind="ACCOUNT_UNUSED_ACCESS")
    with pytest.raises(ClientError, match="only for external access"):
        found.list_findings(analyzerArn=unused)


def test_machines_from_anywhere_show_their_certificates_and_anchors_can_be_shut(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    number = account.anywhere_subject(
        "CN=robot", ago(90), last_seen=ago(1), certificates=(Shown(ago(90), ago(-5)), Shown(ago(400), ago(35), enabled=False))
    )
    found = client(cloud, "rolesanywhere")
    (listed,) = found.list_subjects()["subjects"]
    assert (number, ago(1), True) == (listed["subjectId"], listed["lastSeenAt"], listed["enabled"])
    shown = found.get_subject(subjectId=number)["subject"]["credentials"]
    ends = [x509.load_pem_x509_certificate(one["x509CertificateData"].encode()).not_valid_after_utc for one in shown]
    assert ([ago(-5), ago(35)], [True, False]) == (ends, [one["enabled"] for one in shown])
    account.trust_anchor("lab", ago(9))
    (anchor,) = found.list_trust_anchors()["trustAnchors"]
    found.disable_trust_anchor(trustAnchorId=anchor["trustAnchorId"])
    assert [False] == [one["enabled"] for one in found.list_trust_anchors()["trustAnchors"]]


def test_secrets_tell_all_but_themselves(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    account.secret("db", ago(90), rotated=ago(20), accessed=ago(0.1), rotation_days=30, next_rotation=ago(-10), tags={"owner": "maria"})
    account.secret("rds!db", ago(30), owning_service="rds")
    account.secret("gone", ago(30), deleted=ago(1))
    found = client(cloud, "secretsmanager")
    newest, oldest = found.list_secrets()["SecretList"]
    assert ("rds", None) == (newest["OwningService"], newest.get("RotationEnabled"))
    assert (ago(20), ago(-10), 30) == (
        oldest["LastRotatedDate"],
        oldest["NextRotationDate"],
        oldest["RotationRules"]["AutomaticallyAfterDays"],
    )
    assert datetime(2026, 11, 21, tzinfo=UTC) == oldest["LastAccessedDate"]
    assert ["db"] == [one["Name"] for one in found.list_secrets(Filters=[{"Key": "tag-key", "Values": ["own"]}])["SecretList"]]
    assert 3 == len(found.list_secrets(IncludePlannedDeletion=True)["SecretList"])


def test_events_are_looked_up_by_one_attribute_within_ninety_days(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    role, session = f"arn:aws:iam::{CALLER_ACCOUNT}:role/acme", f"arn:aws:sts::{CALLER_ACCOUNT}:assumed-role/acme/bot"
    made = account.event(
        "CreateUser",
        ago(30),
        by=session,
        session_issuer=role,
        resources=(("AWS::IAM::User", "svc"),),
        response={"user": {"userName": "svc"}},
    )
    account.event("CreateUser", ago(91))
    account.event("DeleteUser", ago(3))
    found = client(cloud, "cloudtrail", "us-east-1")
    (one,) = found.lookup_events(LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "CreateUser"}])["Events"]
    told = json.loads(one["CloudTrailEvent"])
    assert (made, role, "svc") == (
        one["EventId"],
        told["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"],
        told["responseElements"]["user"]["userName"],
    )
    assert ["DeleteUser"] == [one["EventName"] for one in found.lookup_events(StartTime=ago(4), EndTime=ago(2))["Events"]]
    assert [] == client(cloud, "cloudtrail", "eu-west-2").lookup_events()["Events"]
    twice = [
        {"AttributeKey": "EventName", "AttributeValue": "CreateUser"},
        {"AttributeKey": "EventSource", "AttributeValue": "iam.amazonaws.com"},
    ]
    for asked, error in (
        ({"LookupAttributes": twice}, "InvalidLookupAttributes"),
        ({"StartTime": NOW, "EndTime": ago(1)}, "InvalidTimeRange"),
    ):
        with pytest.raises(ClientError, match=error):
            found.lookup_events(**asked)


def test_credentials_of_users_are_listed_reported_and_switched_off(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    account.user("svc", ago(90))
    number = account.service_credential("svc", ago(60), service="bedrock.amazonaws.com", expires=ago(-30))
    account.service_credential(CALLER_USER, ago(60))
    account.signing_certificate("svc", ago(50))
    account.signing_certificate("svc", ago(40), status="Inactive")
    iam = client(cloud, "iam")
    found = {
        one["UserName"]: one.get("ExpirationDate")
        for one in iam.list_service_specific_credentials(AllUsers=True)["ServiceSpecificCredentials"]
    }
    assert {"svc": ago(-30), CALLER_USER: None} == found
    assert [CALLER_USER] == [one["UserName"] for one in iam.list_service_specific_credentials()["ServiceSpecificCredentials"]]
    with pytest.raises(ClientError, match="InvalidInput"):
        iam.list_service_specific_credentials(AllUsers=True, UserName="svc")
    iam.update_service_specific_credential(UserName="svc", ServiceSpecificCredentialId=number, Status="Inactive")
    (switched,) = iam.list_service_specific_credentials(UserName="svc")["ServiceSpecificCredentials"]
    assert "Inactive" == switched["Status"]
    iam.generate_credential_report()
    rows = {row["user"]: row for row in csv.DictReader(io.StringIO(iam.get_credential_report()["Content"].decode()))}
    columns = ("cert_1_active", "cert_1_last_rotated", "cert_2_active", "cert_2_last_rotated")
    assert ("true", "2026-10-02T06:00:00+00:00", "false", "2026-10-12T06:00:00+00:00") == tuple(rows["svc"][name] for name in columns)
    assert ("false", "N/A", "false", "N/A") == tuple(rows[CALLER_USER][name] for name in columns)


def test_ways_in_and_out_for_outside_identities(cloud: SandboxAws) -> None:
    account = cloud.account(CALLER_ACCOUNT)
    issuer = account.oidc_provider(
        "https://token.actions.githubusercontent.com", ago(50), client_ids=("sts.amazonaws.com", "other"), tags={"owner": "maria"}
    )
    okta = account.saml_provider("okta", ago(50), valid_until=ago(-9))
    shown = account.delegation_request(PARTNER, "Acme", ago(2), expires=ago(-1), approver=f"arn:aws:iam::{CALLER_ACCOUNT}:user/maria")
    hidden = account.delegation_request(PARTNER, "Acme", ago(1), owner=None)
    iam = client(cloud, "iam")
    assert [{"Arn": issuer}] == iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=issuer, ClientID="other")
    provider = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=issuer)
    assert (["sts.amazonaws.com"], ago(50), [{"Key": "owner", "Value": "maria"}]) == (
        provider["ClientIDList"],
        provider["CreateDate"],
        provider["Tags"],
    )
    (saml,) = iam.list_saml_providers()["SAMLProviderList"]
    assert (okta, ago(-9)) == (saml["Arn"], iam.get_saml_provider(SAMLProviderArn=okta)["ValidUntil"])
    assert [shown] == [one["DelegationRequestId"] for one in iam.list_delegation_requests()["DelegationRequests"]]
    assert PARTNER == iam.get_delegation_request(DelegationRequestId=hidden)["DelegationRequest"]["RequestorId"]
    with pytest.raises(ClientError, match="FeatureDisabled"):
        iam.get_outbound_web_identity_federation_info()
    account.outbound_federation("https://issuer.example.com")
    assert "https://issuer.example.com" == iam.get_outbound_web_identity_federation_info()["IssuerIdentifier"]


def test_it_remembers_who_was_asked_what_where(cloud: SandboxAws) -> None:
    cloud.account(MEMBER).role("reader", trust(CALLER_ACCOUNT, external_id="x-1"), ago(9))
    given = client(cloud, "sts").assume_role(RoleArn=f"arn:aws:iam::{MEMBER}:role/reader", RoleSessionName="night", ExternalId="x-1")[
        "Credentials"
    ]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="eu-west-1")
    session.client("secretsmanager", endpoint_url=cloud.endpoint, config=ONCE).list_secrets(MaxResults=5)
    assert [
        Asked(MEMBER, "sts:AssumeRole", "eu-west-2", ("ExternalId", "RoleArn", "RoleSessionName")),
        Asked(MEMBER, "secretsmanager:ListSecrets", "eu-west-1", ("MaxResults",)),
    ] == cloud.asked
    assert 1 == cloud.calls[MEMBER, "ListSecrets"]
    cloud.expire_sessions(MEMBER)
    with pytest.raises(ClientError, match="ExpiredToken"):
        session.client("rolesanywhere", endpoint_url=cloud.endpoint, config=ONCE).list_crls()
