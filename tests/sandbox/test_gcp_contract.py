from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.errors import CountersignError
from sandbox.gcp.contract import Contract
from sandbox.gcp.operations import OPERATIONS
from sandbox.gcp.wire_grpc import messages

ACCOUNTS = "v1/projects/p1/serviceAccounts"
KEY = f"{ACCOUNTS}/a@p1.iam.gserviceaccount.com/keys/k1"
CONTRACT = Contract.read()

READ = {
    "ServiceAccount", "ServiceAccountKey", "Policy", "Binding", "Expr", "Role", "ResourceSearchResult", "IamPolicySearchResult", "Asset", "Resource",
    "ListServiceAccountsResponse", "ListServiceAccountKeysResponse", "ListRolesResponse", "SearchAllResourcesResponse",
    "SearchAllIamPoliciesResponse", "ListAssetsResponse",
}  # fmt: skip
"""The schemas that a reader of identities meets; Asset's others, such as access levels, are not."""
ONLY_IN_DOCUMENTS = {("ServiceAccountKey", "disableReason"), ("ServiceAccountKey", "extendedStatus"), ("Asset", "assetExceptions")}
"""What google-cloud-iam 2.27 and google-cloud-asset 4.5 do not have (yet), and gRPC callers therefore do not see."""


@pytest.mark.parametrize(
    ("verb", "path", "query", "body", "problem"),
    [
        ("GET", ACCOUNTS, [("pageSize", "100"), ("alt", "json")], None, None),
        ("POST", f"{KEY}:disable", [], {}, None),
        ("POST", f"{ACCOUNTS}/a@b:getIamPolicy", [("options.requestedPolicyVersion", "3")], None, None),
        ("POST", "v3/projects/p1:getIamPolicy", [], {"options": {"requestedPolicyVersion": 3}}, None),
        ("GET", "v1/organizations/1:searchAllIamPolicies", [("assetTypes", "a"), ("assetTypes", "b")], None, None),
        ("GET", "v1/organizations/1/locations/global/activityTypes/t/activities:query", [("pageSize", "1000")], None, None),
        ("GET", f"{ACCOUNTS}/a@b/keys", [("keyTypes", "USER")], None, "keyTypes: not one of the enum's values: 'USER'"),
        ("GET", ACCOUNTS, [("page_size", "100")], None, "unknown query parameter: page_size"),
        ("GET", ACCOUNTS, [("pageSize", "many")], None, "pageSize: not a number: 'many'"),
        ("GET", ACCOUNTS, [("pageToken", "a"), ("pageToken", "b")], None, "given more than once: pageToken"),
        ("GET", ACCOUNTS, [], {"pageSize": 100}, "iam.projects.serviceAccounts.list takes no body"),
        ("GET", f"{ACCOUNTS}/a@b/key", [], None, f"unknown path: {ACCOUNTS}/a@b/key"),
        ("GET", "v1/projects/p1/locations/global/workloadIdentityPools", [("showDeleted", "yes")], None, "showDeleted: not a boolean: 'yes'"),
        ("GET", f"{KEY}:disable", [], None, f"GET is not for {KEY}:disable, but POST"),
        ("POST", f"{KEY}:disable", [], {"disabled": True}, "unknown field: disabled"),
        ("POST", f"{KEY}:disable", [], b"disabled=true", "the body is not a JSON object"),
        ("POST", f"{ACCOUNTS}/a@b:setIamPolicy", [], {"policy": {"etag": "!"}}, "policy.etag: not a byte: '!'"),
        ("POST", f"{ACCOUNTS}/a@b:setIamPolicy", [], {"policy": {"version": "3"}}, "policy.version: not a whole number: '3'"),
        ("POST", f"{ACCOUNTS}/a@b:setIamPolicy", [], {"policy": {"bindings": [{"member": "m"}]}}, "unknown field: policy.bindings[].member"),
        ("GET", "v1/organizations/1:searchAllResources", [("scope", "organizations/1")], None, "unknown query parameter: scope"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_caught(verb: str, path: str, query: list[tuple[str, str]], body: Any, problem: str | None) -> None:
    assert (() if problem is None else (problem,)) == CONTRACT.check_request(verb, path, query, body)


@pytest.mark.parametrize(
    ("method", "answer", "problem"),
    [
        ("iam.projects.serviceAccounts.get", {"uniqueId": "1", "createTime": "2025-01-01T00:00:00Z"}, "unknown field: createTime"),
        ("iam.projects.serviceAccounts.get", {"uniqueId": 1122}, "uniqueId: not a text: 1122"),
        ("iam.projects.serviceAccounts.get", {"disabled": "true"}, "disabled: not a boolean: 'true'"),
        ("iam.projects.serviceAccounts.keys.list", {"keys": [{"keyType": "MINE"}]}, "keys[].keyType: not one of the enum's values: 'MINE'"),
        ("iam.projects.serviceAccounts.keys.list", {"keys": [{"validAfterTime": "2025-01-01"}]}, "keys[].validAfterTime: not a google-datetime: '2025-01-01'"),
        ("iam.projects.serviceAccounts.keys.list", {"keys": {}}, "keys: not a list: {}"),
        ("iam.projects.serviceAccounts.keys.list", [], "the document: not an object: []"),
        ("iam.projects.serviceAccounts.getIamPolicy", {"version": True}, "version: not a whole number: True"),
        ("iam.projects.serviceAccounts.getIamPolicy", {"version": 2**31}, "version: more than 32 bits: 2147483648"),
        ("iam.locations.workforcePools.list", {"workforcePools": [{"sessionDuration": "1h"}]}, "workforcePools[].sessionDuration: not a google-duration: '1h'"),
        ("cloudresourcemanager.projects.get", {"labels": {"owner": 1}}, "labels.owner: not a text: 1"),
        ("cloudasset.assets.list", {"assets": [{"resource": {"data": {"any": [1, None, {"thing": True}]}}}]}, None),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_caught(method: str, answer: Any, problem: str | None) -> None:
    assert (() if problem is None else (problem,)) == CONTRACT.check_response(method, answer)


@pytest.mark.parametrize(
    ("method", "asked", "problems"),
    [
        ("iam.projects.serviceAccounts.keys.list", {"name": "projects/p1/serviceAccounts/a", "keyTypes": ["USER_MANAGED"]}, ()),
        (
            "iam.projects.serviceAccounts.keys.list",
            {"name": "projects/p1/serviceAccounts/a", "keyTypes": [7]},
            ("keyTypes[]: not a text: 7",),
        ),
        ("iam.projects.serviceAccounts.getIamPolicy", {"resource": "r", "options": {"requestedPolicyVersion": 3}}, ()),
        ("iam.projects.serviceAccounts.getIamPolicy", {"resource": "r", "options": {"version": 3}}, ("unknown field: options",)),
        (
            "cloudasset.assets.list",
            {"parent": "projects/p1", "contentType": "KEYS"},
            ("contentType: not one of the enum's values: 'KEYS'",),
        ),
    ],
)
def test_a_message_is_checked_as_the_request_that_it_stands_for(method: str, asked: Any, problems: tuple[str, ...]) -> None:
    assert problems == CONTRACT.check_message(method, asked)


def test_every_operation_of_the_sandbox_is_googles() -> None:
    for operation in OPERATIONS:
        path = operation.path.pattern.replace("[^/]+", "x")
        for name in operation.path.groupindex:
            path = path.replace(f"(?P<{name}>", "").replace(")", "")
        assert () == CONTRACT.check_request(operation.verb, path)
        assert operation.parameter is None or operation.parameter in CONTRACT.parameters(operation.method)


def test_the_libraries_messages_differ_from_the_documents_only_as_known() -> None:
    compared: set[str] = set()
    differences: set[tuple[str, str]] = set()

    def compare(method: str, message: Any, name: str) -> None:
        if name in compared or name not in READ:
            return
        compared.add(name)
        properties = CONTRACT.schema(method, name)["properties"]
        differences.update((name, field) for field in properties.keys() ^ {field.json_name for field in message.fields})
        for field in message.fields:
            items = properties.get(field.json_name, {}).get("items", properties.get(field.json_name, {}))
            if field.enum_type and {value.name for value in field.enum_type.values} != set(items["enum"]):
                differences.add((name, f"{field.json_name} (enum)"))
            if field.message_type and "$ref" in items:
                compare(method, field.message_type, items["$ref"])

    for operation in OPERATIONS:
        if operation.rpc is not None:
            request, response = messages()[operation.rpc]
            known = {name.partition(".")[0] for name in CONTRACT.parameters(operation.method)}
            assert known == {field.json_name for field in request.DESCRIPTOR.fields}
            answered = CONTRACT.schema(operation.method, response.DESCRIPTOR.name)
            compare(operation.method, response.DESCRIPTOR, answered["id"])
    assert (READ, ONLY_IN_DOCUMENTS) == (compared, differences)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["keys", "name", "keyType", "disabled"]), inner),
)


@given(answer=JSON)
def test_any_document_is_judged_without_failing(answer: Any) -> None:
    assert all(isinstance(problem, str) for problem in CONTRACT.check_response("iam.projects.serviceAccounts.keys.list", answer))


def test_without_the_wheel_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CountersignError, match="run `make test`"):
        Contract.read(tmp_path)
