"""Answers the real wire formats of IAM, STS and five services more from generated accounts, as fast as it can; a process of its own."""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from benchmarks.bucket import Bucket, Calls
from benchmarks.depth import Depth, written_as_json, written_as_xml
from benchmarks.estate import ADMIN, AS_OF, DAY, HARMLESS, PARTNER_ACCOUNT, Role, User, roles, users

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = 1000
_HEADER = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,mfa_active,"
    "access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region,access_key_1_last_used_service,"
    "access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,"
    "cert_1_active,cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
USER_AGE = 400
PASSWORD_AGE = 30
ROOT_CREATED = datetime(2019, 3, 4, 10, tzinfo=UTC)
TOO_OLD = 90
"""Days of a key's life after which it is too old by every policy of the benchmarks' programme."""
_SESSION = "ASIA"
_SIGNED = re.compile(r"Credential=(?P<key>[^/]+)/\d+/[^/]+/(?P<service>[^/]+)/")
_PATHS = {
    "access-analyzer": {"/analyzer": "ListAnalyzers", "/finding": "ListFindings"},
    "rolesanywhere": {"/trustanchors": "ListTrustAnchors", "/profiles": "ListProfiles", "/subjects": "ListSubjects"},
}
"""Operations of the services that go by path, by the name their requests are signed for."""


def trust_policy(role: Role) -> dict[str, object]:
    """Return the trust policy of a role."""
    if not role.partner_trust:
        who: dict[str, object] = {"Principal": {"Service": "lambda.amazonaws.com"}}
    else:
        who = {"Principal": {"AWS": f"arn:aws:iam::{PARTNER_ACCOUNT}:root"}}
        who |= {"Condition": {"StringEquals": {"sts:ExternalId": "x-1"}}} if role.external_id else {}
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", **who}]}


def document(policy: str) -> dict[str, object]:
    """Return the document of one of AWS's policies that the estate uses (shortened)."""
    actions = "*" if policy == ADMIN else ["s3:Get*", "s3:List*"]
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}


class Account:
    """The answers of one account, written once."""

    def __init__(self, number: str, count: int, first: int = 0) -> None:
        self.number = number
        self._first, self._count = first, count
        self._depth = Depth(number, count, first)
        self.rotate(0)
        members = [("UserDetailList", self._user(user)) for user in users(first, count)]
        members += [("RoleDetailList", self._role(role)) for role in roles(first, count)]
        members += [("Policies", self._policy(arn)) for arn in (ADMIN, HARMLESS)]
        self.pages = [self._page(members, start) for start in range(0, len(members), PAGE)]
        counts = {"Users": count, "Roles": sum(1 for _ in roles(first, count)), "AccountPasswordPresent": 1, "AccountMFAEnabled": 1}
        entries = "".join(f"<entry><key>{name}</key><value>{value}</value></entry>" for name, value in counts.items())
        self.summary = self._answer("GetAccountSummary", f"<SummaryMap>{entries}</SummaryMap>")
        self.generated = self._answer("GenerateCredentialReport", "<State>COMPLETE</State>")
        who = f"<Arn>arn:aws:iam::{number}:user/bench</Arn><UserId>AIDABENCH</UserId><Account>{number}</Account>"
        self.caller = self._answer("GetCallerIdentity", who, "https://sts.amazonaws.com/doc/2011-06-15/")

    def rotate(self, many: int) -> None:
        """Have the first key of the first so many users whose key is too old made a day earlier, as the report says too."""
        members = list(users(self._first, self._count))
        for user in [user for user in members if user.keys[0].age > TOO_OLD][:many]:
            user.keys[0].age += 1
        self.keys = {user.name: self._key_list(user) for user in members}
        self.report = self._answer("GetCredentialReport", self._report(members))

    def answer(self, service: str, action: str, question: dict[str, str]) -> bytes | None:
        """Return the answer to a call; None when there is none."""
        if action == "GetAccountAuthorizationDetails":
            return self.pages[int(question.get("Marker", "0"))]
        if action == "ListAccessKeys":
            return self.keys.get(question.get("UserName", ""))
        if action == "AssumeRole":
            return self._session(question["RoleArn"])
        fixed = {
            "GetCredentialReport": self.report, "GetAccountSummary": self.summary, "GenerateCredentialReport": self.generated,
            "GetCallerIdentity": self.caller,
        }  # fmt: skip
        if action in fixed:
            return fixed[action]
        told = self._depth.answer(action, question)
        if told is None:
            return None
        return self._answer(action, written_as_xml(told)) if service == "iam" else written_as_json(told, iso=service in _PATHS)

    def _session(self, role: str) -> bytes:
        """Give credentials whose key bears the number of the account that the role is in."""
        number = role.split(":")[4]
        who = f"<Arn>arn:aws:sts::{number}:assumed-role/{role.rpartition('/')[2]}/bench</Arn><AssumedRoleId>AROABENCH:bench</AssumedRoleId>"
        key = f"<AccessKeyId>{_SESSION}{number}0000</AccessKeyId><SecretAccessKey>stub</SecretAccessKey><SessionToken>stub</SessionToken>"
        credentials = f"<Credentials>{key}<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
        return self._answer(
            "AssumeRole", f"<AssumedRoleUser>{who}</AssumedRoleUser>{credentials}", "https://sts.amazonaws.com/doc/2011-06-15/"
        )

    def _answer(self, action: str, inner: str, namespace: str = "https://iam.amazonaws.com/doc/2010-05-08/") -> bytes:
        meta = "<ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata>"
        return (
            f"<?xml version='1.0' encoding='utf-8'?>\n"
            f'<{action}Response xmlns="{namespace}"><{action}Result>{inner}</{action}Result>{meta}</{action}Response>'
        ).encode()

    def _page(self, members: list[tuple[str, str]], start: int) -> bytes:
        here = members[start : start + PAGE]
        lists = "".join(
            f"<{name}>{''.join(text for of, text in here if of == name)}</{name}>"
            for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
        )
        more = start + PAGE < len(members)
        marker = f"<IsTruncated>true</IsTruncated><Marker>{start // PAGE + 1}</Marker>" if more else "<IsTruncated>false</IsTruncated>"
        return self._answer("GetAccountAuthorizationDetails", lists + marker)

    def _user(self, user: User) -> str:
        return (
            f"<member><Path>/</Path><UserName>{user.name}</UserName><UserId>{user.id}</UserId><Arn>{self._arn(user)}</Arn>"
            f"<CreateDate>{_stamp(AS_OF - USER_AGE * DAY)}</CreateDate><GroupList/>{_attached(user.policy)}"
            "<Tags><member><Key>team</Key><Value>platform</Value></member></Tags></member>"
        )

    def _role(self, role: Role) -> str:
        policy = quote(json.dumps(trust_policy(role)))
        return (
            f"<member><Path>/</Path><RoleName>{role.name}</RoleName><RoleId>{role.id}</RoleId>"
            f"<Arn>arn:aws:iam::{self.number}:role/{role.name}</Arn><CreateDate>{_stamp(AS_OF - USER_AGE * DAY)}</CreateDate>"
            f"<AssumeRolePolicyDocument>{policy}</AssumeRolePolicyDocument><InstanceProfileList/><RolePolicyList/>{_attached(HARMLESS)}<Tags/>"
            f"<RoleLastUsed><LastUsedDate>{_stamp(AS_OF - DAY)}</LastUsedDate><Region>eu-west-2</Region></RoleLastUsed></member>"
        )

    def _policy(self, arn: str) -> str:
        made = _stamp(AS_OF - USER_AGE * DAY)
        return (
            f"<member><PolicyName>{arn.rpartition('/')[2]}</PolicyName><PolicyId>ANPA{arn.rpartition('/')[2]:0<17}</PolicyId><Arn>{arn}</Arn>"
            "<Path>/</Path><DefaultVersionId>v1</DefaultVersionId><AttachmentCount>1</AttachmentCount><IsAttachable>true</IsAttachable>"
            f"<CreateDate>{made}</CreateDate><UpdateDate>{made}</UpdateDate><PolicyVersionList><member>"
            f"<Document>{quote(json.dumps(document(arn)))}</Document><VersionId>v1</VersionId><IsDefaultVersion>true</IsDefaultVersion>"
            f"<CreateDate>{made}</CreateDate></member></PolicyVersionList></member>"
        )

    def _key_list(self, user: User) -> bytes:
        members = "".join(
            f"<member><UserName>{user.name}</UserName><AccessKeyId>{key.id}</AccessKeyId>"
            f"<Status>{'Active' if key.active else 'Inactive'}</Status><CreateDate>{_stamp(key.created_at)}</CreateDate></member>"
            for key in user.keys
        )
        return self._answer("ListAccessKeys", f"<AccessKeyMetadata>{members}</AccessKeyMetadata><IsTruncated>false</IsTruncated>")

    def _report(self, members: list[User]) -> str:
        none = "false,N/A,N/A,N/A,N/A"
        root = (
            f"<root_account>,arn:aws:iam::{self.number}:root,{_cell(ROOT_CREATED)},not_supported,{_cell(AS_OF - DAY)},not_supported,"
            f"not_supported,true,{none},{none},false,N/A,false,N/A"
        )
        text = "\n".join([_HEADER, root, *(self._row(user) for user in members)]) + "\n"
        content = base64.b64encode(text.encode()).decode()
        return f"<Content>{content}</Content><ReportFormat>text/csv</ReportFormat><GeneratedTime>{_stamp(AS_OF)}</GeneratedTime>"

    def _row(self, user: User) -> str:
        password = f"true,{_cell(AS_OF - DAY)},{_cell(AS_OF - PASSWORD_AGE * DAY)},N/A" if user.human else "false,N/A,N/A,N/A"
        cells = ",".join(
            f"{str(key.active).lower()},{_cell(key.created_at)},{_cell(key.used_at)},{'N/A,N/A' if key.used is None else 'eu-west-2,s3'}"
            for key in user.keys
        )
        mfa = "true" if user.human and user.mfa else "false"
        made = _cell(AS_OF - USER_AGE * DAY)
        return f"{user.name},{self._arn(user)},{made},{password},{mfa},{cells},false,N/A,false,N/A"

    def _arn(self, user: User) -> str:
        return f"arn:aws:iam::{self.number}:user/{user.name}"


_THROTTLED = b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
_UNKNOWN = b"<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>unknown</Message></Error></ErrorResponse>"
_JSON_THROTTLED = b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'
_JSON_UNKNOWN = b'{"__type": "ResourceNotFoundException", "message": "unknown"}'


class Server(ThreadingHTTPServer):
    """Answers for some accounts, to many connections at once.

    Who asks is told by the key: that of a session bears its account's number, any other is the first account's. `GET /` gives the
    calls by action, the bytes of answers and the throttled calls since the last time it was asked; `PUT /` rotates so many keys.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, accounts: Mapping[str, Account], *, port: int, latency: float, rate: float) -> None:
        """Take seconds to add to each answer, and how many answers a second an account gets (0: no limit)."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.accounts = accounts
        self.latency = latency
        self.calls = Calls()
        self._buckets = {number: Bucket(rate) for number in accounts}
        self._first = next(iter(accounts))

    def answer(self, key: str, service: str, action: str, question: dict[str, str]) -> tuple[int, bytes, str]:
        """Give status and body of the answer to a call, and the name to count it by."""
        number = key[4:16] if key.startswith(_SESSION) else self._first
        xml = service in {"iam", "sts"}
        if not self._buckets[number].take():
            return 400, _THROTTLED if xml else _JSON_THROTTLED, "throttled"
        answer = self.accounts[number].answer(service, action, question)
        name = f"{service}:{action}"
        return (404, _UNKNOWN if xml else _JSON_UNKNOWN, name) if answer is None else (200, answer, name)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        signed = _SIGNED.search(self.headers.get("Authorization", ""))
        if signed is None:
            self._send(403, b"")
            return
        asked = _asked(self.path, self.headers.get("X-Amz-Target", ""), signed["service"], content.decode())
        if self.server.latency:
            time.sleep(self.server.latency)
        status, answer, name = self.server.answer(signed["key"], signed["service"], *asked)
        self.server.calls.add({name: 1, "bytes": len(answer)})
        self._send(status, answer)

    def do_GET(self) -> None:
        if self.path == "/":
            self._send(200, self.server.calls.taken())
        else:
            self.do_POST()

    def do_PUT(self) -> None:
        many = int(self.rfile.read(int(self.headers["Content-Length"])))
        for account in self.server.accounts.values():
            account.rotate(many)
        self._send(200, b"{}")

    def _send(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/xml" if content.startswith(b"<") else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_values: object) -> None:
        """Say nothing."""


def _asked(path: str, target: str, service: str, body: str) -> tuple[str, dict[str, str]]:
    """Read the operation and its parameters, as the service's protocol writes them."""
    where, _, query = path.partition("?")
    if service in _PATHS:
        question = {name: values[0] for name, values in parse_qs(query).items()}
        return _PATHS[service].get(where, where), question | (json.loads(body) if body else {})
    if target:
        return target.rpartition(".")[2], json.loads(body)
    question = {name: values[0] for name, values in parse_qs(body).items()}
    return question.get("Action", "?"), question


def main() -> None:
    """Serve until standard input closes, so that it never outlives the benchmark; prints the address first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="444455556666")
    parser.add_argument("--accounts", type=int, default=1, help="so many, numbered from the first")
    parser.add_argument("--users", type=int, default=1000, help="of each account")
    parser.add_argument("--first", type=int, default=0, help="number of the first user")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--rate", type=float, default=0)
    asked = parser.parse_args()
    numbers = [str(int(asked.account) + number) for number in range(asked.accounts)]
    accounts = {number: Account(number, asked.users, asked.first) for number in numbers}
    server = Server(accounts, port=asked.port, latency=asked.latency, rate=asked.rate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201 - how the parent learns the address
    sys.stdin.read()


def _stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def _cell(when: datetime | None) -> str:
    return "N/A" if when is None else f"{when:%Y-%m-%dT%H:%M:%S+00:00}"


def _attached(policy: str) -> str:
    name = policy.rpartition("/")[2]
    member = f"<member><PolicyArn>{policy}</PolicyArn><PolicyName>{name}</PolicyName></member>"
    return f"<AttachedManagedPolicies>{member}</AttachedManagedPolicies>"


if __name__ == "__main__":
    main()
