"""Harbour Insurance, an estate of some sixty identities on each of ninety days: what stands in the vendors' exports, and what is true of it.

Everything here was decided before anything was run: the exports are written from it, and what the bundle says is held against it.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

FIRST = date(2026, 3, 2)
DAYS = 90
LAST = FIRST + timedelta(DAYS - 1)
HOUR = time(2, 0)
MAIN, LATER = "500000000001", "500000000002"
TENANT, ASTER_TENANT = "5d0f6c1a-8a0e-4d51-b6a3-1f0c6a52e900", "a57e0000-0000-4000-8000-0000000000a1"
PROJECT = "harbour-data"
ALWAYS = (0, DAYS - 1)

MISSING = (9, 10, 44)
FULL_DISK, KILLED, TWICE, STOPPED = 12, 17, 21, 80
DEAD = 27
"""Killed, and nobody took it over: the next night finds it."""
PARTIAL = {15: "aws", 33: "entra"}
"""Day to the export that cannot be read."""
NO_TIMESTAMPS = (40, 41, 42)
NEW_SIGNER = 60
"""The day whose night is the first that the new key signs."""

CONTRACT_ENDS, LINGERS_UNTIL, LONGEST_UNTIL = 50, 56, 70
"""The contract's last day; the last nights that see most, and the last, of borealis' identities."""
LEAVES, OWN_ENTRY, NEW_ACCOUNTABLE, RENAMED, SECOND_ACCOUNT = 35, 28, 65, 25, 30

OVERDUE, OVERDUE_FROM, ROTATED = "aster-job-00", 23, 40
STANDING, STANDING_FROM = "cobalt-job-03", 60
EXCEPTED, EXCEPTED_FROM = "aster-job-05", 3
REFUSED, REFUSED_FROM = "aster-job-06", 6
"""User names; the first nights that see their keys too old, and the first that sees another key."""
REQUESTED_1, APPROVED_1, EXPIRES_1 = 18, 20, 45
REQUESTED_2, APPROVED_2, EXPIRES_2, ENDED = 42, 43, 75, 62
WITHOUT_MFA = ((5, 12), (25, 29))
"""First and last day of each time that helga has no second factor."""

IMAGE, FORMULA, ANSI, BIDI, PATH, LONG = (
    "<img src=x onerror=alert(1)>",
    '=HYPERLINK("http://evil.example/","pay")',
    "\x1b[2J\x1b[31mred",
    "invoice\u202efdp.exe",
    "../../../../etc/passwd",
    "long " + "x" * 10_000,
)
REASON = "@SUM(1+1)*cmd|' /C calc'!A0, the vendor\nchanges nothing <script>alert(2)</script> before summer"


def day(number: int) -> date:
    """Give the date of a day of the period, 0 to 89."""
    return FIRST + timedelta(number)


def at(number: int, hour: time = HOUR) -> datetime:
    """Give the moment that the night of a day is judged as of."""
    return datetime.combine(day(number), hour, UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """One credential, from the first to the last day that the exports show it."""

    made: datetime
    first: int
    last: int
    id: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity, with the days that the exports show it."""

    partner: str | None
    provider: str
    scope: str
    kind: str
    id: str
    name: str
    days: tuple[int, int] = ALWAYS
    keys: tuple[Key, ...] = ()
    console: bool = False
    published_by: str | None = None
    names: dict[int, str] = field(default_factory=dict)
    """Other names, from that day on."""

    @property
    def uid(self) -> str:
        """Its subject."""
        return f"{self.provider}:{self.scope}:{self.kind}/{self.id}"

    def there(self, number: int) -> bool:
        """Whether the estate has it on that day."""
        return self.days[0] <= number <= self.days[1]

    def named(self, number: int) -> str:
        """Give its name on that day."""
        return next((self.names[since] for since in sorted(self.names, reverse=True) if since <= number), self.name)

    def live(self, number: int) -> tuple[Key, ...]:
        """Give its credentials on that day."""
        return tuple(key for key in self.keys if self.there(number) and key.first <= number <= key.last)


def _made(number: int) -> datetime:
    return at(number, time(8, 0))


def _object(name: str) -> str:
    return str(uuid5(NAMESPACE_DNS, f"{name}.harbour.example"))


def _two(age: int, change: int, last: int = DAYS - 1) -> tuple[Key, ...]:
    """One key of that age (days) on the first day, another from the day of the change on."""
    if change > last:
        return (Key(_made(-age), 0, last),)
    return (Key(_made(-age), 0, change - 1), Key(_made(change - 1), change, last))


def _user(partner: str | None, name: str, keys: tuple[Key, ...], *, days: tuple[int, int] = ALWAYS, scope: str = MAIN) -> Identity:
    return Identity(partner, "aws", scope, "user", name, name, days, keys)


def _overdue_from(first_night: int, last: int = DAYS - 1) -> Key:
    """Make a key that is older than ninety days on that night and not on the night before."""
    return Key(_made(first_night - 1 - 90), 0, last)


def _users() -> list[Identity]:
    special = {
        OVERDUE: (_overdue_from(OVERDUE_FROM, ROTATED - 1), Key(_made(ROTATED - 1), ROTATED, DAYS - 1)),
        STANDING: (_overdue_from(STANDING_FROM),),
        EXCEPTED: (_overdue_from(EXCEPTED_FROM),),
        REFUSED: (_overdue_from(REFUSED_FROM),),
        "cobalt-job-05": (Key(_made(-20), 0, TWICE), Key(at(TWICE, time(9, 0)), TWICE, DAYS - 1)),
    }
    found = [Identity(None, "aws", MAIN, "user", "helga.admin", "helga.admin", console=True)]
    for number in range(8):
        gone = LONGEST_UNTIL if number == 7 else LINGERS_UNTIL
        for partner, last in (("aster", DAYS - 1), ("borealis", gone), ("cobalt", DAYS - 1)):
            name = f"{partner}-job-0{number}"
            found.append(_user(partner, name, special.get(name, _two(20 + number, 52 + number % 5, last)), days=(0, last)))
    found += [_user("aster", f"aster-night-{number}", _two(22 + number, 58)) for number in range(2)]
    found += [_user(None, f"svc-{number:02d}", (Key(_made(-200 - number), 0, DAYS - 1),)) for number in range(20)]
    late = (SECOND_ACCOUNT, DAYS - 1)
    found += [
        _user("aster", f"aster-late-{number}", (Key(_made(SECOND_ACCOUNT - 2), *late),), days=late, scope=LATER) for number in range(3)
    ]
    return found


def _entra() -> list[Identity]:
    def secret(name: str, last: int = DAYS - 1) -> tuple[Key, ...]:
        return (Key(_made(-40), 0, last, _object(f"{name}-secret")),)

    def app(partner: str | None, slug: str, name: str, last: int = DAYS - 1, names: dict[int, str] | None = None) -> Identity:
        keys = secret(slug, last)
        return Identity(partner, "azure", TENANT, "application", _object(slug), name, (0, last), keys, names=names or {})

    portal = Identity("aster", "azure", TENANT, "service-principal", _object("aster-portal"), "Aster Portal", published_by=ASTER_TENANT)
    return [
        portal,
        app("borealis", "borealis-forecast", "Borealis Forecast", LINGERS_UNTIL),
        app("cobalt", "cobalt-connector", "Cobalt Connector", names={RENAMED: "Cobalt Bridge"}),
        app("cobalt", "hostile-image", IMAGE),
        app("cobalt", "hostile-formula", FORMULA),
        app("aster", "hostile-ansi", ANSI),
        app("aster", "hostile-bidi", BIDI),
        app("aster", "hostile-path", PATH),
        app(None, "hostile-long", LONG),
        app(None, "payroll", "Payroll"),
    ]


def _google() -> list[Identity]:
    def account(partner: str | None, name: str, number: int, last: int = DAYS - 1) -> Identity:
        keys = (Key(_made(-30), 0, last, f"{number:040x}"),)
        return Identity(partner, "gcp", PROJECT, "service-account", f"10000000000000000{number:04d}", name, (0, last), keys)

    return [
        account("aster", "aster-loader", 1),
        account("borealis", "borealis-loader", 2, LINGERS_UNTIL),
        account("cobalt", "cobalt-loader", 3),
        account(None, "warehouse", 4),
    ]


IDENTITIES = (*_users(), *_entra(), *_google())


def shown(number: int, *, later: bool = False) -> tuple[Identity, ...]:
    """Give those that the exports of a day show and that can be read; `later`: in the afternoon of the day judged twice."""
    del later
    unread = PARTIAL.get(number)
    return tuple(
        identity
        for identity in IDENTITIES
        if identity.there(number)
        and not (unread == "aws" and identity.scope == MAIN)
        and not (unread == "entra" and identity.kind == "application")
        and not (number == STOPPED and identity.scope == MAIN and not identity.name.startswith(("helga", "svc-00", "svc-01")))
    )


def live_keys(identity: Identity, number: int, *, later: bool = False) -> tuple[Key, ...]:
    """Give the credentials that the exports show; where one is replaced during a day, the old one in the morning and the new one later."""
    keys = identity.live(number)
    if number == TWICE and len(keys) == 2:
        return keys[1:] if later else keys[:1]
    return keys


def exports(number: int, *, later: bool = False) -> dict[str, str]:
    """Write the files of a day, by path."""
    there = shown(number, later=later)
    files = {"aws/main.csv": _report(MAIN, [i for i in there if i.scope == MAIN], number, later=later)}
    if number >= SECOND_ACCOUNT:
        files["aws/later.csv"] = _report(LATER, [i for i in there if i.scope == LATER], number, later=later)
    files["entra/account.json"] = json.dumps({"environmentName": "AzureCloud", "homeTenantId": TENANT, "id": _object("sub"), "tenantId": TENANT, "name": "harbour", "state": "Enabled"})  # fmt: skip
    files["entra/sp.json"] = json.dumps([_principal(i) for i in there if i.kind == "service-principal"])
    files["entra/app.json"] = json.dumps([_app(i, number) for i in there if i.kind == "application"])
    accounts = [i for i in there if i.provider == "gcp"]
    files["gcp/accounts.json"] = json.dumps([_account(i) for i in accounts])
    files |= {f"gcp/keys-{i.name}.json": json.dumps(_account_keys(i, number)) for i in accounts}
    broken = {"aws": {"aws/main.csv": "user,arn\nbroken"}, "entra": {"entra/app.json": '[{"id": "cut off'}}
    return files | broken.get(PARTIAL.get(number, ""), {})


def _report(account: str, users: list[Identity], number: int, *, later: bool) -> str:
    facets = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    columns = ["user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed", "password_next_rotation", "mfa_active"]  # fmt: skip
    columns += [f"access_key_{slot}_{facet}" for slot in (1, 2) for facet in facets]
    columns += [f"cert_{slot}_{facet}" for slot in (1, 2) for facet in facets[:2]]
    none, certificates = ["false", *["N/A"] * 4], ["false", "N/A"] * 2
    yesterday = f"{at(number - 1):%Y-%m-%dT%H:%M:%S}+00:00"
    root = ["<root_account>", f"arn:aws:iam::{account}:root", "2019-01-01T00:00:00+00:00", "not_supported", "no_information", "not_supported", "not_supported", "true"]  # fmt: skip
    rows = [[*root, *none, *none, *certificates]]
    for user in users:
        mfa = user.console and not any(begin <= number <= end for begin, end in WITHOUT_MFA)
        arn = f"arn:aws:iam::{account}:user/{user.name}"
        born = min([key.made for key in user.keys], default=_made(-300))
        password = ["true", yesterday, f"{_made(-100):%Y-%m-%dT%H:%M:%S}+00:00", "N/A"] if user.console else ["false", *["N/A"] * 3]
        slots = [
            ["true", f"{key.made:%Y-%m-%dT%H:%M:%S}+00:00", yesterday if key.made < at(number - 1) else "N/A", "eu-west-1", "s3"]
            for key in live_keys(user, number, later=later)
        ]
        row = [user.name, arn, f"{born:%Y-%m-%dT%H:%M:%S}+00:00", *password, str(mfa).lower()]
        rows.append([*row, *(slots[0] if slots else none), *(slots[1] if len(slots) > 1 else none), *certificates])
    text = io.StringIO()
    csv.writer(text).writerows([columns, *rows])
    return text.getvalue()


def _principal(identity: Identity) -> dict[str, Any]:
    return {
        "id": identity.id, "appId": _object(f"{identity.id}-app"), "displayName": identity.name, "servicePrincipalType": "Application", "accountEnabled": True,
        "appOwnerOrganizationId": identity.published_by, "createdByAppId": None, "alternativeNames": [], "notes": None, "tags": [],
        "passwordCredentials": [], "keyCredentials": [],
    }  # fmt: skip


def _app(identity: Identity, number: int) -> dict[str, Any]:
    secrets = [
        {"customKeyIdentifier": None, "displayName": "secret", "startDateTime": f"{key.made:%Y-%m-%dT%H:%M:%SZ}", "endDateTime": f"{key.made + timedelta(170):%Y-%m-%dT%H:%M:%SZ}", "hint": None, "keyId": key.id, "secretText": None}
        for key in identity.live(number)
    ]  # fmt: skip
    return {
        "id": identity.id, "appId": _object(f"{identity.id}-app"), "displayName": identity.named(number), "createdDateTime": "2026-01-05T09:00:00Z", "isDisabled": None,
        "signInAudience": "AzureADMyOrg", "notes": None, "tags": [], "passwordCredentials": secrets, "keyCredentials": [],
    }  # fmt: skip


def _mail(identity: Identity) -> str:
    return f"{identity.name}@{PROJECT}.iam.gserviceaccount.com"


def _account(identity: Identity) -> dict[str, Any]:
    name = f"projects/{PROJECT}/serviceAccounts/{_mail(identity)}"
    return {"displayName": identity.name, "email": _mail(identity), "etag": "MDEwMjE5MjA=", "name": name, "oauth2ClientId": identity.id, "projectId": PROJECT, "uniqueId": identity.id}  # fmt: skip


def _account_keys(identity: Identity, number: int) -> list[dict[str, Any]]:
    return [
        {
            "keyAlgorithm": "KEY_ALG_RSA_2048", "keyOrigin": "GOOGLE_PROVIDED", "keyType": "USER_MANAGED",
            "name": f"projects/{PROJECT}/serviceAccounts/{_mail(identity)}/keys/{key.id}",
            "validAfterTime": f"{key.made:%Y-%m-%dT%H:%M:%SZ}", "validBeforeTime": f"{key.made + timedelta(300):%Y-%m-%dT%H:%M:%SZ}",
        }
        for key in identity.live(number)
    ]  # fmt: skip
