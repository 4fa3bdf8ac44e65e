"""Takes parties out of a role's trust policy, and touches nothing else in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from countersign.aws_documents.policy import document, is_deleted, lets_in, party_of, statements_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NOBODY: dict[str, Any] = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
"""The one statement of a trust policy that lets nobody in: IAM takes none that is empty."""


def without(policy: object, parties: Collection[tuple[str, str]], account: str) -> dict[str, Any] | None:
    """Give a trust policy without these parties (kind, party as `outside_parties` names them); None when it cannot be read.

    Only their names go, out of statements that let somebody assume the role; a statement without any name left goes with the last one,
    and when none is left `NOBODY` takes their place. Names of deleted principals go too where something else goes, since IAM takes no
    policy that holds one. Denials, conditions, services and the order of what stays are as they were. Who comes as anyone (`*`,
    NotPrincipal) has no name to take out.
    """
    parsed, statements = document(policy), statements_of(policy)
    if parsed is None or statements is None:
        return None
    if all(_without(one, parties, account) == one for one in statements):
        return dict(parsed)
    kept = [left for one in statements if (left := _without(one, parties, account, deleted=True)) is not None]
    alone = kept[0] if len(kept) == 1 and not isinstance(parsed["Statement"], (list, tuple)) else None
    return {**parsed, "Statement": alone or kept or [NOBODY]}


def opens(policy: object) -> bool:
    """Whether a trust policy lets anybody in, services and the account itself included; True where it cannot be read."""
    statements = statements_of(policy)
    return statements is None or any(map(lets_in, statements))


def names_deleted(policy: object) -> bool:
    """Whether a trust policy names a principal that was deleted, in a statement that lets it in."""
    return any(_principals(one) != _left(one, (), "", deleted=True) for one in statements_of(policy) or () if lets_in(one))


def same(one: object, other: object) -> bool:
    """Whether two policies are the same but for the order and the writing of their lists, which IAM may change."""
    return _plain(one) == _plain(other)


def _without(
    statement: Mapping[str, object], parties: Collection[tuple[str, str]], account: str, *, deleted: bool = False
) -> Mapping[str, object] | None:
    """Give a statement without some of its principals; None when nobody is left in it."""
    if not lets_in(statement) or "NotPrincipal" in statement:
        return statement
    before = _principals(statement)
    after = _left(statement, parties, account, deleted=deleted)
    if after == before:
        return statement
    return {**statement, "Principal": after} if after else None


def _principals(statement: Mapping[str, object]) -> dict[str, object]:
    principal = statement.get("Principal")
    return dict(principal) if isinstance(principal, dict) else {}


def _left(statement: Mapping[str, object], parties: Collection[tuple[str, str]], account: str, *, deleted: bool) -> dict[str, object]:
    kept: dict[str, object] = {}
    for kind, names in _principals(statement).items():
        if isinstance(names, str):
            if not _goes(kind, names, parties, account, deleted=deleted):
                kept[kind] = names
        elif isinstance(names, (list, tuple)):
            left = [one for one in names if not (isinstance(one, str) and _goes(kind, one, parties, account, deleted=deleted))]
            if left or not names:
                kept[kind] = left
        else:
            kept[kind] = names
    return kept


def _goes(kind: str, name: str, parties: Collection[tuple[str, str]], account: str, *, deleted: bool) -> bool:
    return name != "*" and (party_of(kind, name, account) in parties or (deleted and is_deleted(kind, name)))


def _plain(value: object) -> object:
    """Write a policy in one way: lists sorted, a list of one as that one."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        listed = sorted(map(_plain, value), key=repr)
        return listed[0] if len(listed) == 1 else listed
    return value
