"""Which change takes a single credential away: a token, secret-id, lease, certificate or database account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.vault import records, revoking_states
from connectors.vault.revoking_states import GONE
from countersign.clock import stamp
from countersign.document import shown
from countersign.revocation import CREDENTIAL, SESSION, Change, Left, Residual

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from connectors.vault.revoking_sheet import Sheet
    from countersign.revocation import Holding

ORPHANS = Residual(
    "tokens that it made without a parent live until they end: batch tokens, which are in no listing, and service tokens that no step of"
    " the plan names, since only the source's audit log tells who made them",
    None,
)
"""True with an audit log too, which may not go back to where they were made; the steps that it led to are beside this one."""
_OPEN_SESSIONS = Residual("sessions that are open at the database stay open", None)
_BY_HAND = "rotate it where it opens something, and write the new value; what it holds is never read here"


def credential(sheet: Sheet, one: Holding) -> Iterator[Change | Left]:
    """Yield what ends a credential that no switch of its identity covers, or why nothing does. Raises RevocationError, ReadError."""
    kind, native = sheet.native(one.uid)
    if kind == "token":
        yield from revoke_token(sheet, one, native, [one.uid])
    elif kind == "secret-id":
        _, role_native = sheet.native(one.identity_uid)
        mount, _, role = role_native.rpartition("/")
        where = {"mount": f"{mount or 'approle'}/", "role": role, "accessor": native}
        said = f"Destroy the secret-id with the accessor {shown(native)} of the AppRole {shown(role)}"
        yield from sheet.looked("destroy-secret-id", one, where, GONE, CREDENTIAL, said)
    elif kind == "lease":
        yield from sheet.looked("revoke-lease", one, {"lease": native}, GONE, SESSION, f"Revoke the lease {shown(native)}")
    elif kind in {"certificate", "database-role"}:
        yield from _of_engine(sheet, one, kind, native)
    else:
        yield sheet.left(one.uid, one.name, f"nothing here takes away what is of the kind {kind}", _BY_HAND)


def _of_engine(sheet: Sheet, one: Holding, kind: str, native: str) -> Iterator[Change | Left]:
    accessor, _, name = native.partition(":")
    mount = sheet.mount_of("sys/mounts", accessor)
    if mount is None:
        sheet.settled.add(one.uid)
        return
    where = {"mount": mount, "mount_accessor": accessor}
    if kind == "certificate":
        where["serial"] = name
        residual = Residual("whoever does not ask for revocations takes it until it ends", _left_of(sheet, one))
        state = revoking_states.look(sheet.api, "revoke-certificate", where)
        after = {**state, "revoked": True} if state != GONE else GONE
        words = f"Revoke the certificate {shown(name)} of {shown(mount)}"
        yield from sheet.change("revoke-certificate", one, where, state, after, CREDENTIAL, [one.uid], words, residual)
        return
    where |= {"role": name, "since": stamp(sheet.since)}
    state = revoking_states.look(sheet.api, "rotate-static-role", where)
    after = {**state, "rotated_since_plan": True} if state != GONE else GONE
    words = f"Rotate the password of the database account {shown(name)} of {shown(mount)}"
    yield from sheet.change("rotate-static-role", one, where, state, after, CREDENTIAL, [one.uid], words, _OPEN_SESSIONS)


def _left_of(sheet: Sheet, one: Holding) -> int | None:
    try:
        ends = records.when(one.record.get("expires_at"))
    except ValueError:
        return None
    return None if ends is None else max(0, round((ends - sheet.since).total_seconds()))


def revoke_token(sheet: Sheet, one: Holding, accessor: str, takes: Sequence[str]) -> Iterator[Change | Left]:
    """Yield the end of a token; `takes` are the uids that end with it. Raises RevocationError, ReadError."""
    said = f"Revoke the token with the accessor {shown(accessor)}, with the tokens that it made and what it was given on lease"
    yield from sheet.looked("revoke-token", one, {"accessor": accessor}, GONE, SESSION, said, takes, ORPHANS)
