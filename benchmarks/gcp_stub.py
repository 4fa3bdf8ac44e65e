"""A Google project over gRPC and REST, answered from pages written beforehand: the sandbox's own rows, without its work per call."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.bucket import Bucket, Calls, serve_until_told
from benchmarks.estate import AS_OF, DAY
from sandbox.gcp.estate import Estate, Project
from sandbox.gcp.iam import key_body
from sandbox.gcp.operations import called, routed
from sandbox.gcp.refusal import throttled
from sandbox.gcp.wire_grpc import GrpcServer, messages
from sandbox.gcp.wire_rest import RestServer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = "bench-project"
RETRY_S = 1.0
_PAGES = {"accounts": 100, "results": 500, "assets": 1000, "activities": 1000}
Json = dict[str, Any]


def fill(project: Project, count: int) -> None:
    """Put so many accounts with a key each into a project: of a hundred, one key is exposed, ten are disabled, 25 have an end."""
    for n in range(count):
        account = project.service_account(f"robot-{n:06d}", created=AS_OF - (30 + n % 500) * DAY, description="owner=platform")
        key = project.key(
            account, f"{n * 0x9E3779B97F4A7C15 % (1 << 64):040x}", AS_OF - (20 + n % 400) * DAY, exposed=n % 100 == 1,
            expires=AS_OF + (1 + n % 90) * DAY if n % 4 == 0 else None, disabled=n % 10 == 9,  # noqa: PLR2004 - every tenth
        )  # fmt: skip
        used = AS_OF - (2 + n % 60) * DAY if n % 3 else None
        project.use += ((account, used), (key, used))  # `used` looks for an earlier word on each, which takes a while for so many
    accounts = list(project.accounts.values())
    project.bind("roles/viewer", *(f"serviceAccount:{account.email}" for account in accounts[::100]))
    for account in accounts[::500]:
        account.bind("roles/iam.serviceAccountTokenCreator", "user:somebody@p00.example")


class Answers:
    """Answers from pages; throttles what is above the rate, and says when to come back."""

    def __init__(self, count: int, rate: float) -> None:
        estate = Estate()
        estate.observed_until = AS_OF - 2 * DAY
        project = estate.projects[PROJECT] = Project(PROJECT, "123456789012")
        fill(project, count)
        self.calls = Calls()
        self._estate = estate
        self._bucket = Bucket(rate)
        self._pages: dict[str, list[Any]] = {}
        self._keys = {
            str(account.unique_id): json.dumps({"keys": [key_body(key) for key in account.keys.values()]}).encode()
            for account in project.accounts.values()
        }

    def rpc_answer(self, rpc: tuple[str, str], asked: Json, bearer: str) -> Json | bytes:
        """Answer a gRPC call; raises Refused."""
        del bearer
        operation = called(rpc, asked)
        if rpc[1] not in self._pages:
            from google.protobuf.json_format import ParseDict

            pages = self._whole(operation.answer, asked)
            made = messages()[rpc][1]
            self._pages[rpc[1]] = [ParseDict(page, made(), ignore_unknown_fields=True).SerializeToString() for page in pages]
        return self._counted(operation.method, operation.api, self._pages[rpc[1]][int(asked.get("pageToken") or 0)])

    def rest_answer(
        self, verb: str, path: str, query: Sequence[tuple[str, str]], body: Json | bytes | None, bearer: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Answer a REST call."""
        del body, bearer
        found = routed(verb, path)
        assert found is not None, f"{verb} {path}"
        operation, named = found
        kind = path.partition("/activityTypes/")[2].partition("/")[0]
        method = f"{operation.method}:{kind}" if kind else operation.method
        if method.endswith("keys.list") and "/serviceAccounts/" in path:
            answer = self._keys[path.split("/")[4]]
        else:
            if method not in self._pages:
                self._pages[method] = [json.dumps(page).encode() for page in self._whole(operation.answer, dict(query) | named)]
            answer = self._pages[method][int(dict(query).get("pageToken") or 0)]
        if not self._bucket.take():
            self.calls.add({"throttled": 1})
            return 429, {"Retry-After": f"{RETRY_S:g}", "Content-Type": "application/json"}, b"{}"
        self.calls.add({method: 1, "bytes": len(answer)})
        return 200, {"Content-Type": "application/json"}, answer

    def _counted(self, method: str, api: str, answer: bytes) -> bytes:
        if not self._bucket.take():
            self.calls.add({"throttled": 1})
            raise throttled(api, RETRY_S)
        self.calls.add({method: 1, "bytes": len(answer)})
        return answer

    def _whole(self, answer: Any, asked: Json) -> list[Json]:  # noqa: ANN401 - any of the sandbox's answers
        """Let the sandbox write a whole list in one go, and cut it into pages."""
        cut: list[Json] = []

        def page(field: str, items: Sequence[Json], _asked: Json, **_sizes: int) -> Json:
            size = _PAGES.get(field, 1000)
            starts = range(0, max(1, len(items)), size)
            for number, start in enumerate(starts, 1):
                following = {"nextPageToken": str(number)} if number < len(starts) else {}
                cut.append({field: list(items[start : start + size]), **following})
            return cut[0]

        with patch("sandbox.gcp.iam.page", page), patch("sandbox.gcp.assets.page", page), patch("sandbox.gcp.projects.page", page):
            single = answer(self._estate, asked)
        return cut or [single]


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=0, help="calls a second; 0: no limit")
    asked = parser.parse_args()
    answers = Answers(asked.accounts, asked.rate)
    grpc, rest = GrpcServer(answers, 0, None), RestServer(answers, 0, None)
    source = {"name": "gcp", "projects": [PROJECT], "endpoint": grpc.endpoint, "rest": rest.address, "plaintext": True}
    serve_until_told({"source": source}, answers.calls)
    grpc.close()
    rest.close()


if __name__ == "__main__":
    main()
