"""Canaries in one Google Cloud project: a service account with a key, and no role anywhere."""

from __future__ import annotations

import base64
import hashlib
import os
import time
import warnings
from typing import TYPE_CHECKING, Self, cast

from connectors.gcp.door import Door, GoneError
from connectors.gcp.names import tail
from connectors.gcp.paging import pages
from connectors.gcp.permissions import ACCOUNTS, CREATE_ACCOUNT, CREATE_KEY, DELETE_ACCOUNT
from connectors.gcp.visit import PROVIDER
from countersign.canary import ENVIRONMENT, PREFIX, CanaryError, Planted, environment
from countersign.errors import ReadError, ScopeDeniedError
from countersign.fields import text
from countersign.identity import uid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from types import TracebackType

    from google.auth.credentials import Credentials

    from connectors.gcp.permissions import Call
    from countersign.fields import Row
    from countersign.programme import GcpSource, Source
    from countersign.reading import Scope

BREAKS = ("named-owner", "workload-registered")
"""Nobody registered it, whatever the customer's policies say."""
FILE = "GOOGLE_APPLICATION_CREDENTIALS"
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_TRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0, None)
"""Waits between tries: an account that was just made is not known everywhere for up to a minute."""
_LONGEST = 30 - len(PREFIX)
"""An account's id has at most 30 characters."""
_PAGE = 100


def planter(
    source: Source,
    scope: Scope,
    *,
    now: Callable[[], datetime],
    sleep: Callable[[float], None] = time.sleep,
    enter: Callable[[GcpSource], Door] | None = None,
) -> GcpPlanter:
    """Enter a project that is set aside; nothing is asked of Google before the `with` block. `sleep` waits for what is not known yet."""
    del now  # nothing here depends on the time
    return GcpPlanter(cast("GcpSource", source), scope, sleep, enter or _door)


class GcpPlanter:
    """One project, entered as the identity that drills; see `countersign.canary.Planter`."""

    def __init__(self, source: GcpSource, scope: Scope, sleep: Callable[[float], None], enter: Callable[[GcpSource], Door]) -> None:
        self._source, self._project = source, scope.name
        self._sleep, self._enter = sleep, enter
        self._entered: Door | None = None

    def __enter__(self) -> Self:
        """Enter; raises CanaryError where there is no identity that drills, or the scope is an organization."""
        if self._project.startswith("organizations/"):
            raise CanaryError(f"{self._project} is no place for canaries", fix="set one project aside, and name it under `drill:`")
        try:
            self._entered = self._enter(self._source)
        except ReadError as error:
            raise _refused(error) from error
        if (called := self._entered.caller).startswith(PREFIX):
            raise CanaryError(
                f"the identity that drills is itself called {called}, and would be removed", fix=f"do not begin it with {PREFIX}"
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._entered is not None:
            self._entered.close()
        self._entered = None

    def plant(self, drill: str) -> Iterator[Planted]:
        """Make an account with a key that never ends; where its id is too short for the drill's name, it has a digest of that."""
        called = drill if len(drill) <= _LONGEST else hashlib.sha256(drill.encode()).hexdigest()[:_LONGEST]
        asked = {
            "name": f"projects/{self._project}",
            "accountId": f"{PREFIX}{called}",
            "serviceAccount": {"displayName": f"{PREFIX}{drill}"[:100], "description": "made by a drill of Countersign, which removes it"},
        }
        account = self._asked(CREATE_ACCOUNT, asked)
        unique, email = text(account, "uniqueId"), text(account, "email")
        if unique is None or email is None:
            raise CanaryError(f"{CREATE_ACCOUNT.name}: the answer has no unique id")
        key = self._key(f"projects/{self._project}/serviceAccounts/{unique}")
        yield Planted(
            uid=uid(PROVIDER, self._project, "service-account", unique),
            name=email,
            breaks=BREAKS,
            credential=uid(PROVIDER, self._project, "service-account-key", tail(text(key, "name")) or ""),
            secret=base64.b64decode(text(key, "privateKeyData") or "").decode(),
        )

    def remove(self) -> tuple[str, ...]:
        """Delete the accounts of the project whose name begins with PREFIX, by their unique id; their keys go with them."""
        found, stays = {}, []
        try:
            for rows, _ in pages(self._door, ACCOUNTS, "accounts", {"name": f"projects/{self._project}", "pageSize": _PAGE}):
                found.update({text(row, "uniqueId"): text(row, "email") or "" for row in rows})
        except ReadError as error:
            raise _refused(error) from error
        canaries = {one: email for one, email in found.items() if one and email.startswith(PREFIX)}
        for unique, email in canaries.items():
            try:
                self._door.ask(DELETE_ACCOUNT, {"name": f"projects/{self._project}/serviceAccounts/{unique}"})
            except GoneError:
                continue
            except ReadError as error:
                stays.append(f"{email} ({error.message})")
        if stays:
            raise CanaryError(f"in project {self._project} there stays {', '.join(stays)}", fix="run the drill again, or delete it by hand")
        return tuple(sorted(canaries.values()))

    def _key(self, account: str) -> Row:
        """Make a key of an account that may not be known everywhere yet."""
        for delay in _TRIES_S:
            try:
                return self._door.ask(CREATE_KEY, {"name": account, "privateKeyType": "TYPE_GOOGLE_CREDENTIALS_FILE"})
            except GoneError as error:
                if delay is None:
                    raise _refused(error) from error
                self._sleep(delay)
            except ReadError as error:
                raise _refused(error) from error
        raise AssertionError

    def _asked(self, call: Call, asked: Row) -> Row:
        try:
            return self._door.ask(call, asked)
        except ReadError as error:
            raise _refused(error) from error

    @property
    def _door(self) -> Door:
        if self._entered is None:
            message = "a planter is used within its `with` block"
            raise RuntimeError(message)
        return self._entered


def _door(source: GcpSource) -> Door:
    return Door(source, credentials=_credentials)


def _credentials() -> Credentials:
    """Load the identity that drills from its file; raises CanaryError."""
    import google.auth  # loaded here: Google's libraries take a second
    from google.auth.exceptions import GoogleAuthError

    path = environment(os.environ).get(FILE)
    if path is None:
        raise CanaryError("there is no identity that drills", fix=f"set {ENVIRONMENT}{FILE} to its file")
    try:
        with warnings.catch_warnings():
            # The library warns of files that strangers handed in; this one is the operator's own.
            warnings.simplefilter("ignore", DeprecationWarning)
            loaded: Credentials = google.auth.load_credentials_from_file(path, scopes=_SCOPES)[0]  # type: ignore[no-untyped-call] # google-auth has no types
    except (GoogleAuthError, OSError, ValueError) as error:
        # The words of the error may quote the file.
        raise CanaryError(
            f"the credentials of the identity that drills cannot be used ({type(error).__name__})", fix=f"see {ENVIRONMENT}{FILE}"
        ) from error
    return loaded


def _refused(error: ReadError) -> CanaryError:
    denied = isinstance(error, ScopeDeniedError)
    return CanaryError(
        error.message, fix="give the identity that drills drill-project.yaml, see docs/connectors/gcp.md" if denied else error.fix
    )
