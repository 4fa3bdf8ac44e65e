"""Is the stub honest? Its answers, read by the connector, must be those of moto for the same account. `honest USERS`."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

import boto3
from moto.iam.models import iam_backends

from benchmarks import depth
from benchmarks.estate import ADMIN, AS_OF, DAY, HARMLESS, User, roles, users
from benchmarks.iam_stub import PASSWORD_AGE, USER_AGE, Account, Server, document, trust_policy
from connectors import aws
from countersign.identity import Coverage, Observation, Provenance, Record
from countersign.programme import AwsSource
from countersign.reading import ReadRequest
from sandbox.aws import CALLER_ACCOUNT, CALLER_KEY, CALLER_USER, SandboxAccount, SandboxAws, credentials, federation

if TYPE_CHECKING:
    from collections.abc import Iterable


def main() -> None:
    """Read both and say what differs; exit 1 when a record does."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    server = Server({CALLER_ACCOUNT: Account(CALLER_ACCOUNT, count)}, port=0, latency=0, rate=0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stub = f"http://127.0.0.1:{server.server_port}"
    with SandboxAws() as cloud, patch.dict(os.environ, cloud.environment):
        _seed(cloud.account(CALLER_ACCOUNT), count)
        read = {endpoint: _read(endpoint) for endpoint in (stub, cloud.endpoint)}
        ours, theirs = _told(read[stub]), _told(read[cloud.endpoint])
        shapes = {endpoint: _shapes(endpoint, next(users(0, 1)).name) for endpoint in (stub, cloud.endpoint)}
    server.shutdown()
    only_ours, only_theirs = sorted((ours - theirs).elements()), sorted((theirs - ours).elements())
    lacking = {
        name: sorted(shapes[other] - shapes[one]) for name, one, other in (("stub", stub, cloud.endpoint), ("moto", cloud.endpoint, stub))
    }
    missing = [
        record.operation for records in read.values() for record in records if isinstance(record, Coverage) and record.state != "complete"
    ]
    said = {
        "missing": missing,
        "records": ours.total(),
        "only_stub": only_ours[:3],
        "only_moto": only_theirs[:3],
        "fields_lacking": lacking,
    }
    print(json.dumps(said))  # noqa: T201 - how the parent learns the answer
    # Fields are told only: whatever botocore parses is in AWS's own model, and neither of the two writes all of it.
    if only_ours or only_theirs or missing:
        sys.exit(1)


def _seed(account: SandboxAccount, count: int) -> None:
    backend: Any = iam_backends[account.number]["aws"]
    for user in users(0, count):
        _user(account, backend, user)
    for role in roles(0, count):
        account.role(role.name, trust_policy(role), AS_OF - USER_AGE * DAY, last_used=AS_OF - DAY, policies=(HARMLESS,))
        backend.get_role(role.name).id = role.id
    for arn in (ADMIN, HARMLESS):
        backend.managed_policies[arn].document = json.dumps(document(arn))
    _seed_depth(account, count)
    account.root(mfa=True, password_last_used=AS_OF - DAY)
    account.iam.generate_credential_report()
    account.freeze_report(AS_OF)


def _seed_depth(account: SandboxAccount, count: int) -> None:
    """Put the rows of `depth.py` where the sandbox keeps its own: it checks each answer against botocore's model."""
    number, kept, backend = account.number, account.estate.kept, cast("Any", account.backend)
    federation.oidc_provider(account, f"https://{depth.ISSUER}", depth.MADE, client_ids=(depth.AUDIENCE,))
    federation.saml_provider(account, depth.DIRECTORY, depth.MADE, valid_until=depth.ENDS)
    credentials.server_certificate(account, depth.SERVER, depth.MADE, expires=depth.ENDS)
    (certificate,) = backend.certificates.values()
    backend.certificates = {depth.server_certificate(number)["ServerCertificateId"]: certificate}
    kept(number, "", "delegation-request").append(depth.delegation_request(number))
    kept(number, "", "service-specific-credential").extend(depth.git_passwords(count))
    kept(number, depth.REGION, "secret").extend(depth.secrets(number, count))
    outside = depth.analyzer(number)
    kept(number, depth.REGION, "analyzer").append(outside)
    kept(number, depth.REGION, "finding").extend({"analyzer": outside["arn"], **found} for found in depth.findings(number, count))


def _user(account: SandboxAccount, backend: Any, user: User) -> None:  # noqa: ANN401 - moto's own class
    changed, used = (AS_OF - PASSWORD_AGE * DAY, AS_OF - DAY) if user.human else (None, None)
    account.user(
        user.name, AS_OF - USER_AGE * DAY, tags={"team": "platform"}, console=user.human, mfa=user.human and user.mfa,
        policies=(user.policy,), password_changed=changed, password_last_used=used,
    )  # fmt: skip
    backend.get_user(user.name).id = user.id
    for key in user.keys:
        account.key(user.name, key.created_at, last_used=key.used_at, active=key.active, key_id=key.id)


def _read(endpoint: str) -> list[Record]:
    source = AwsSource(name="aws", accounts=(CALLER_ACCOUNT,), regions=("eu-west-2",), endpoint=endpoint)
    (scope,) = aws.scopes(source)
    return list(aws.read(ReadRequest(source=source, scope=scope, run="honest", now=lambda: AS_OF)))


def _told(records: Iterable[Record]) -> Counter[str]:
    """Count the records as text, without those about the reading itself and without the sandbox's own user."""
    of_reading = (Coverage, Observation, Provenance)
    kept = (record for record in records if not isinstance(record, of_reading))
    texts = (f"{type(record).__name__} {json.dumps(asdict(record), default=str, sort_keys=True)}" for record in kept)
    return Counter(text for text in texts if not any(own in text for own in (CALLER_USER, CALLER_KEY)))


def _shapes(endpoint: str, user: str) -> set[str]:
    """List the fields of each answer, as botocore understands it."""
    session = boto3.Session("AKIAIOSFODNN7EXAMPLE", "stub", region_name="eu-west-2")
    iam = session.client("iam", endpoint_url=endpoint)
    answers: dict[str, Any] = {
        "details": iam.get_account_authorization_details(MaxItems=1000), "report": iam.get_credential_report(),
        "keys": iam.list_access_keys(UserName=user), "caller": session.client("sts", endpoint_url=endpoint).get_caller_identity(),
    }  # fmt: skip
    return {path for name, answer in answers.items() for path in _paths(name, {k: v for k, v in answer.items() if k != "ResponseMetadata"})}


def _paths(at: str, value: object) -> Iterable[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _paths(f"{at}.{name}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(f"{at}[]", inner)
    else:
        yield f"{at}: {type(value).__name__}"


if __name__ == "__main__":
    main()
