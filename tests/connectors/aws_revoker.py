"""How the tests of AWS's revoking side turn a reading into holdings, and use a hand."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aws_reader import ACCOUNT, NOW, ago, named, of, source_of

from connectors import aws
from countersign.identity import Credential, Grant, Identity, Record, Trust
from countersign.revocation import Change, Hand, Holding, Left
from sandbox.aws import CALLER_ACCOUNT, SandboxAws, trust

RUN = "plan-7"
SINCE = ago(0.5)


def open_doors(cloud: SandboxAws, *accounts: str) -> None:
    """Give each account a role that revokes; both roles may do what is declared, and nothing else."""
    for account in accounts:
        cloud.account(account).role("CountersignRevocation", trust(CALLER_ACCOUNT, external_id="x-2"), ago(300))
        cloud.only(account, "role/CountersignInventory", {*aws.PERMISSIONS, *aws.LOOK_PERMISSIONS})
        cloud.only(account, "role/CountersignRevocation", aws.REVOKE_PERMISSIONS)


@contextmanager
def entered(cloud: SandboxAws, account: str = ACCOUNT, **source: Any) -> Iterator[Hand]:
    usual = {"revoke_role": "CountersignRevocation", "revoke_external_id": "x-2", "accounts": (account,)}
    configured = source_of(cloud, **(usual | source))
    scope = next(one for one in aws.scopes(configured) if one.name == account)
    with aws.hand(configured, scope, run=RUN, now=lambda: NOW) as hand:
        yield hand


def holdings(records: Iterable[Record], *identities: str, whole: bool = True, **different: Any) -> list[Holding]:
    """Make holdings of everything that identities (by name) are and hold."""
    records = list(records)
    found = []
    for name in identities:
        identity = named(records)[name]
        found.append(_holding(identity, "identity", identity.uid, identity.kind, identity.name, whole=whole, **different))
        held = [one for one in records if isinstance(one, (Credential, Grant, Trust)) and one.identity_uid == identity.uid]
        found += [holding_of(one, whole=whole, **different) for one in held]
    return found


def trusts_in(records: Iterable[Record], role: str, party: str, **different: Any) -> list[Holding]:
    """Make the holdings of a party in somebody else's role."""
    uid = named(records)[role].uid
    return [holding_of(one, whole=False, **different) for one in of(Trust, records) if (one.identity_uid, one.party) == (uid, party)]


def holding_of(one: Credential | Grant | Trust, **more: Any) -> Holding:
    if isinstance(one, Credential):
        return _holding(one, "credential", one.uid, one.kind, one.name or one.uid, **more)
    if isinstance(one, Grant):
        return _holding(one, "grant", f"{one.identity_uid}#grant/{one.role}/{one.via}", one.role, one.role, **more)
    return _holding(one, "trust", f"{one.identity_uid}#trust/{one.party_kind}/{one.party}", one.party_kind, one.party, **more)


def _holding(one: Any, what: Any, uid: str, kind: str, name: str, **more: Any) -> Holding:
    owner = one.uid if isinstance(one, Identity) else one.identity_uid
    return Holding(
        uid=uid, what=what, kind=kind, provider="aws", source="aws", scope=one.scope, identity_uid=owner, name=name,
        how="named in the register", record=dict(vars(one)), **more,
    )  # fmt: skip


def planned(hand: Hand, held: list[Holding], phase: Any = "disable") -> tuple[list[Change], list[Left]]:
    """Plan twice, which has to give the same; changes in their order."""
    first, second = (list(hand.changes(held, phase, SINCE)) for _ in range(2))
    assert first == second
    changes = [one for one in first if isinstance(one, Change)]
    return sorted(changes, key=lambda one: one.place), [one for one in first if isinstance(one, Left)]


def made(hand: Hand, changes: Iterable[Change]) -> None:
    """Make changes, each seen before and after."""
    for one in changes:
        assert one.before == hand.look(one)
        hand.write(one)
        assert one.after == hand.look(one)


def user(cloud: SandboxAws, name: str = "acme-svc") -> str:
    """Give a user of everything that a user can hold, beside another like it."""
    account = cloud.account(ACCOUNT)
    account.group(f"{name}-ops", policies=("ReadOnlyAccess",))
    made_up = account.user(
        name, ago(200), console=True, mfa=True, policies=("AWSCodeCommitPowerUser",), groups=(f"{name}-ops",),
        inline={"own": {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}},
    )  # fmt: skip
    for days in (150, 90):
        account.key(name, ago(days))
    account.service_credential(name, ago(10))
    account.signing_certificate(name, ago(30))
    account.ssh_key(name, ago(40))
    return made_up


def differences(before: Any, after: Any, where: str = "") -> dict[str, Any]:
    """Give what differs between two snapshots, by path."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: dict[str, Any] = {}
        for name in sorted({*before, *after}):
            found |= differences(before.get(name), after.get(name), f"{where}/{name}")
        return found
    return {} if before == after else {where: (before, after)}


def allowing(action: str) -> dict[str, Any]:
    """Write a policy that allows an action."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
