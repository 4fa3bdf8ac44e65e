"""Proofs about the ledger's tree (RFC 9162 section 2.1): that one run is in it, and that an earlier tree is the beginning of a later one.

A proof holds only together with a root and a size that are believed, such as those of a signed checkpoint: the same hashes may fit
another size beside the same root.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from countersign.evidence.verify import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the hashes that lead from the leaf at `index` (from 0) to the root of the tree over `leaves` (RFC 9162 section 2.1.3.1).

    Raises IndexError for a leaf that is not in the tree.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there is no leaf {index} in a tree of {len(leaves)}")
    return tuple(_path(leaves, index))


def consistency_proof(leaves: Sequence[bytes], size: int) -> tuple[bytes, ...]:
    """Return the hashes that show the tree over the first `size` leaves to be the beginning of the whole (RFC 9162 section 2.1.4.1).

    Nothing is needed, and the proof is empty, where the two are the same. Raises IndexError for a size below 1 or above the tree's.
    """
    if not 0 < size <= len(leaves):
        raise IndexError(f"a tree of {len(leaves)} has no tree of {size} at its beginning")
    return tuple(_subproof(leaves, size, whole=True))


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that the leaf at `index` of the tree of `size` with this root is `leaf` (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, reached = index, size - 1, leaf
    for each in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            reached = _node(each, reached)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            reached = _node(reached, each)
        at, last = at >> 1, last >> 1
    return last == 0 and reached == root


def continues(first: bytes, size: int, second: bytes, larger: int, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that the tree of `larger` with the root `second` begins with the tree of `size` with the root `first`.

    RFC 9162 section 2.1.4.2. A tree of no leaves begins nothing that could be proved, so `size` is at least 1.
    """
    if size == larger:
        return size > 0 and not proof and first == second
    if not 0 < size < larger:
        return False
    # A tree of 2, 4, 8, ... leaves is itself a node of the larger one, and the proof leaves out what the reader has.
    hashes = [first, *proof] if size & (size - 1) == 0 else list(proof)
    if not hashes or any(len(each) != hashlib.sha256().digest_size for each in hashes):
        return False
    at, last = size - 1, larger - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = _node(each, before), _node(each, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = _node(after, each)
        at, last = at >> 1, last >> 1
    return last == 0 and (before, after) == (first, second)


def _path(leaves: Sequence[bytes], index: int) -> Iterator[bytes]:
    if len(leaves) == 1:
        return
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        yield from _path(left, index)
        yield root_of(right)
    else:
        yield from _path(right, index - split)
        yield root_of(left)


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> Iterator[bytes]:
    """`whole`: the earlier tree is the one that the reader has the root of (RFC 9162's b)."""
    if size == len(leaves):
        if not whole:
            yield root_of(leaves)
        return
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if size <= split:
        yield from _subproof(left, size, whole=whole)
        yield root_of(right)
    else:
        yield from _subproof(right, size - split, whole=False)
        yield root_of(left)


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
