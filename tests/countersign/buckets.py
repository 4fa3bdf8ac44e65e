"""A bucket with Object Lock on a real server of moto's, in front of which single requests can be refused, or kill who sent them."""

from __future__ import annotations

import os
import re
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

import boto3
from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "eu-west-2",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
BUCKET = "northwind-evidence"
_DENIED = b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>'


@dataclass
class Front:
    """Puts are done one at a time, as S3 does a conditional one; moto looks and then writes."""

    behind: Any = field(default_factory=lambda: DomainDispatcherApplication(create_backend_app))
    endpoint: str = ""
    denied: str | None = None
    """Pattern of the requests (`METHOD /path?query`) that are refused; None: none is."""
    unlocked: bool = False
    """Take objects without the lock that was asked for, and say nothing."""
    kill: tuple[str, str, int] | None = None
    """Method, part of the path, process: killed, with the request undone."""
    lose: str | None = None
    """Part of the path of a PUT that is done, after which the network is gone."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    _one: Lock = field(default_factory=Lock)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"] + "?" + environ.get("QUERY_STRING", "")
        self.asked.append((method, path))
        if self.kill is not None and self.kill[0] == method and self.kill[1] in path:
            process, self.kill = self.kill[2], None
            os.kill(process, signal.SIGKILL)
            return self._refuse(start_response)
        if self.denied is not None and re.match(self.denied, f"{method} {path}"):
            return self._refuse(start_response)
        if self.unlocked:
            for name in ("MODE", "RETAIN_UNTIL_DATE"):
                environ.pop(f"HTTP_X_AMZ_OBJECT_LOCK_{name}", None)
        if method != "PUT":
            return self.behind(environ, start_response)  # type: ignore[no-any-return]
        with self._one:
            if self.lose is not None and self.lose in path:
                self.denied, self.lose = "", None
                list(self.behind(environ, lambda *_: None))
                return self._refuse(start_response)
            return list(self.behind(environ, start_response))

    def _refuse(self, start_response: StartResponse) -> Iterable[bytes]:
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(_DENIED)))])
        return [_DENIED]

    def calm(self) -> None:
        """Refuse nothing any more."""
        self.denied, self.lose, self.unlocked, self.kill = None, None, False, None
        self.asked.clear()

    def client(self) -> Any:
        """Return somebody else's client of the same bucket."""
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="eu-west-2", aws_access_key_id="other", aws_secret_access_key="other"
        )

    def bucket(self, name: str, *, lock: bool = True) -> None:
        """Make a bucket."""
        where: Any = {"LocationConstraint": "eu-west-2"}
        self.client().create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock, CreateBucketConfiguration=where)

    def sync(self, prefix: str, target: Any, *, exclude: str | None = None) -> None:
        """Do what `aws s3 sync s3://BUCKET/PREFIX TARGET --exclude "EXCLUDE*"` does."""
        client = self.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for each in page.get("Contents", ()):
                inside = each["Key"].removeprefix(prefix)
                if exclude is None or not inside.startswith(exclude):
                    path = target / inside
                    path.parent.mkdir(parents=True, exist_ok=True)
                    client.download_file(BUCKET, each["Key"], str(path))


@contextmanager
def serving() -> Iterator[Front]:
    """Serve buckets on a free port of 127.0.0.1."""
    get_backend("s3").reset()
    front = Front()
    server = make_server("127.0.0.1", 0, front, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    front.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield front
    finally:
        server.shutdown()
        thread.join()
