"""Answers IAM's and STS's real wire format from a generated account, as fast as it can; runs as a process of its own."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote

from benchmarks.estate import ADMIN, AS_OF, DAY, HARMLESS, PARTNER_ACCOUNT, Role, User, roles, users

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

    def __init__(self, number: str, count: int) -> None:
        self.number = number
        self.keys = {user.name: self._key_list(user) for user in users(0, count)}
        members = [("UserDetailList", self._user(user)) for user in users(0, count)]
        members += [("RoleDetailList", self._role(role)) for role in roles(0, count)]
        members += [("Policies", self._policy(arn)) for arn in (ADMIN, HARMLESS)]
        self.pages = [self._page(members, start) for start in range(0, len(members), PAGE)]
        self.report = self._answer("GetCredentialReport", self._report(count))
        counts = {"Users": count, "Roles": sum(1 for _ in roles(0, count)), "AccountPasswordPresent": 1, "AccountMFAEnabled": 1}
        entries = "".join(f"<entry><key>{name}</key><value>{value}</value></entry>" for name, value in counts.items())
        self.summary = self._answer("GetAccountSummary", f"<SummaryMap>{entries}</SummaryMap>")
        self.generated = self._answer("GenerateCredentialReport", "<State>COMPLETE</State>")
        who = f"<Arn>arn:aws:iam::{number}:user/bench</Arn><UserId>AIDABENCH</UserId><Account>{number}</Account>"
        self.caller = self._answer("GetCallerIdentity", who, "https://sts.amazonaws.com/doc/2011-06-15/")

    def answer(self, question: dict[str, str]) -> bytes | None:
        """Return the answer to a call; None when there is none."""
        action = question.get("Action", "")
        if action == "GetAccountAuthorizationDetails":
            return self.pages[int(question.get("Marker", "0"))]
        if action == "ListAccessKeys":
            return self.keys.get(question.get("UserName", ""))
        fixed = {
            "GetCredentialReport": self.report, "GetAccountSummary": self.summary, "GenerateCredentialReport": self.generated,
            "GetCallerIdentity": self.caller,
        }  # fmt: skip
        return fixed.get(action)

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

    def _report(self, count: int) -> str:
        none = "false,N/A,N/A,N/A,N/A"
        root = (
            f"<root_account>,arn:aws:iam::{self.number}:root,{_cell(ROOT_CREATED)},not_supported,{_cell(AS_OF - DAY)},not_supported,"
            f"not_supported,true,{none},{none},false,N/A,false,N/A"
        )
        text = "\n".join([_HEADER, root, *(self._row(user) for user in users(0, count))]) + "\n"
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


class Bucket:
    """So many answers a second, with room for one second's worth; a rate of 0 lets everything through."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more may be answered now."""
        if not self._rate:
            return True
        with self._lock:
            now = time.monotonic()
            self._left = min(self._rate, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


_THROTTLED = b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
_UNKNOWN = b"<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>unknown</Message></Error></ErrorResponse>"


def serve(account: Account, *, port: int, latency: float, rate: float) -> ThreadingHTTPServer:
    """Make the server; `latency` in seconds is added to each answer, `rate` is answers a second (0: no limit).

    `GET /` gives the calls by action, the bytes of answers and the throttled calls since the last time it was asked.
    """
    calls: Counter[str] = Counter()
    bucket = Bucket(rate)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            question = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            if latency:
                time.sleep(latency)
            if not bucket.take():
                self._send(400, _THROTTLED, "throttled")
                return
            content = account.answer(question)
            self._send(404 if content is None else 200, _UNKNOWN if content is None else content, question.get("Action", "?"))

        def do_GET(self) -> None:
            with lock:
                content = json.dumps(calls).encode()
                calls.clear()
            self._send(200, content, None)

        def _send(self, status: int, content: bytes, count_as: str | None) -> None:
            if count_as is not None:
                with lock:
                    calls[count_as] += 1
                    calls["bytes"] += len(content)
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_values: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Serve until standard input closes, so that it never outlives the benchmark; prints the address first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--account", default="444455556666")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--rate", type=float, default=0)
    asked = parser.parse_args()
    server = serve(Account(asked.account, asked.users), port=asked.port, latency=asked.latency, rate=asked.rate)
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
