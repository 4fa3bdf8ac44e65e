"""One bucket with Object Lock, spoken to plainly: put once, read a version back, list every version; each refusal is one sentence."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from countersign.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

CONNECTIONS = 16
"""Calls at once."""
LARGE = 64 * 1024 * 1024
"""Above this many bytes a file is sent in parts, each with its checksum."""
_URI = re.compile(r"s3://([^/]+)(?:/(.*?))?/?")
_TAKEN = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_LONGEST_REASON = 300
_FIX = "check the credentials, the bucket's name and Region, and the policy deployments/permissions/evidence/s3-write.json"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one object, or the marker that a plain delete leaves."""

    key: str
    """Below the prefix."""
    version: str
    size: int
    """0 for a marker."""
    latest: bool
    marker: bool


@dataclass(frozen=True, slots=True)
class Lock:
    """How far an object is protected, as the bucket says."""

    mode: str | None
    """GOVERNANCE or COMPLIANCE; None: it is not locked, or we may not see it."""
    until: datetime | None
    held: bool


class Bucket:
    """A prefix of a bucket (`s3://bucket/prefix`); credentials come from the SDK's own chain. Keys are those below the prefix."""

    def __init__(self, uri: str, *, region: str | None = None, endpoint: str | None = None, mode: str = "COMPLIANCE") -> None:
        found = _URI.fullmatch(uri)
        if found is None:
            raise EvidenceError(f"{uri!r} is no bucket", fix="write s3://bucket/prefix")
        self.name, prefix = found[1], found[2] or ""
        self.uri = f"s3://{self.name}/{prefix}".rstrip("/")
        self.mode = mode
        self._prefix = f"{prefix}/" if prefix else ""
        self.region, self.endpoint = region, endpoint

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 makes its clients' classes as it runs
        import boto3  # a provider's library loads when its store is used
        from botocore.config import Config

        config = Config(
            max_pool_connections=CONNECTIONS, retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60
        )
        with self._asking("CreateClient", ""):
            return boto3.session.Session().client("s3", region_name=self.region, endpoint_url=self.endpoint, config=config)

    def check_lock(self) -> None:
        """Raise EvidenceError unless the bucket can lock objects."""
        try:
            with self._asking("GetObjectLockConfiguration", ""):
                answer = self._client.get_object_lock_configuration(Bucket=self.name)
        except EvidenceError as error:
            if "ObjectLockConfigurationNotFoundError" not in error.message:
                raise
            answer = {}
        if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise EvidenceError(
                f"the bucket {self.name} has no Object Lock, so that evidence in it could be deleted",
                fix="make a bucket with `aws s3api create-bucket --object-lock-enabled-for-bucket`, or turn it on for this one",
            )

    def put(self, key: str, body: bytes | Path, sha256: str, until: datetime, *, metadata: Mapping[str, str] | None = None) -> str | None:
        """Put an object under a key that has none, locked until then; returns its version, None where the key is taken.

        `sha256` (hex) is that of the body, and S3 refuses another body. A file above LARGE goes in parts, and then without the check that
        the key is free: give it a prefix of its own.
        """
        lock = {"ObjectLockMode": self.mode, "ObjectLockRetainUntilDate": until}
        with self._asking("PutObject", key):
            if not isinstance(body, bytes) and body.stat().st_size > LARGE:
                from boto3.s3.transfer import TransferConfig  # as above

                how = TransferConfig(multipart_threshold=LARGE, multipart_chunksize=LARGE, max_concurrency=4)
                self._client.upload_file(str(body), self.name, self._prefix + key, {**lock, "ChecksumAlgorithm": "SHA256"}, Config=how)
                made = str(self._client.head_object(Bucket=self.name, Key=self._prefix + key)["VersionId"])
                # Some servers lock what comes in parts only when told again.
                self.extend(Version(key, made, 0, latest=True, marker=False), until)
                return made
            checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
            try:
                with io.BytesIO(body) if isinstance(body, bytes) else body.open("rb") as content:
                    answer = self._client.put_object(
                        Bucket=self.name, Key=self._prefix + key, Body=content, ChecksumAlgorithm="SHA256",
                        ChecksumSHA256=checksum, IfNoneMatch="*", Metadata=dict(metadata or {}), **lock,
                    )  # fmt: skip
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in _TAKEN:
                    return None
                raise
        return str(answer["VersionId"])

    def lock_of(self, version: Version) -> Lock:
        """Read an object's protection back. GetObjectRetention is not used: HeadObject says the same in one call."""
        with self._asking("HeadObject", version.key):
            said = self._client.head_object(Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version)
        held = said.get("ObjectLockLegalHoldStatus") == "ON"
        return Lock(said.get("ObjectLockMode"), said.get("ObjectLockRetainUntilDate"), held)

    def extend(self, version: Version, until: datetime) -> None:
        """Lock an object for longer."""
        with self._asking("PutObjectRetention", version.key):
            self._client.put_object_retention(
                Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version,
                Retention={"Mode": self.mode, "RetainUntilDate": until},
            )  # fmt: skip

    def hold(self, version: Version, *, on: bool) -> None:
        """Put a legal hold on an object, or take it off."""
        with self._asking("PutObjectLegalHold", version.key):
            self._client.put_object_legal_hold(
                Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version, LegalHold={"Status": "ON" if on else "OFF"}
            )

    def read(self, version: Version) -> tuple[bytes, Mapping[str, str]] | None:
        """Return the content of a version and its metadata; None where it is gone."""
        with self._asking("GetObject", version.key):
            try:
                answer = self._client.get_object(Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version)
                return answer["Body"].read(), answer["Metadata"]
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise

    def save(self, version: Version, path: Path) -> str | None:
        """Write the content of a version to a file; returns its SHA-256 (hex), None where it is gone."""
        hashed = hashlib.sha256()
        with self._asking("GetObject", version.key):
            try:
                answer = self._client.get_object(Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version)
            except self._client.exceptions.ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
            with path.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(1 << 20):
                    hashed.update(chunk)
                    file.write(chunk)
        return hashed.hexdigest()

    def delete(self, version: Version) -> None:
        """Remove a version for good, which the bucket refuses while it is locked or held."""
        with self._asking("DeleteObject", version.key):
            self._client.delete_object(Bucket=self.name, Key=self._prefix + version.key, VersionId=version.version)

    def versions(self, prefix: str = "", *, after: str | None = None) -> Iterator[tuple[str, tuple[Version, ...]]]:
        """Yield each key below a prefix, in order, with its versions from the oldest to the newest; markers come last.

        `after` None: from the first key; else from the first one behind it.
        """
        given = {} if after is None else {"KeyMarker": self._prefix + after}
        found: list[Version] = []
        key: str | None = None
        with self._asking("ListObjectVersions", prefix):
            pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=self._prefix + prefix, **given)
            for page in pages:
                both = [(each, False) for each in page.get("Versions", ())] + [(each, True) for each in page.get("DeleteMarkers", ())]
                for each, marker in sorted(both, key=lambda pair: pair[0]["Key"]):
                    here = each["Key"].removeprefix(self._prefix)
                    if key is not None and here != key:
                        yield key, _oldest_first(found)
                        found = []
                    key = here
                    found.append(Version(here, each["VersionId"], each.get("Size", 0), each["IsLatest"], marker))
        if key is not None:
            yield key, _oldest_first(found)

    @contextmanager
    def _asking(self, operation: str, key: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error  # as above
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            line = "".join(each for each in " ".join(str(error).split()) if each.isprintable())[:_LONGEST_REASON]
            place = f"{self.uri}/{key}".rstrip("/")
            raise EvidenceError(f"S3 did not answer s3:{operation} on {place}: {line}", fix=_FIX) from error


def _oldest_first(found: list[Version]) -> tuple[Version, ...]:
    """Turn the bucket's order, newest first, around: times have whole seconds only."""
    return (*(each for each in reversed(found) if not each.marker), *(each for each in reversed(found) if each.marker))
