"""Proofs about the tree: the published vectors, and by hypothesis that every proof holds and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from countersign.evidence.merkle import consistency_proof, continues, includes, inclusion_proof
from countersign.evidence.verify import leaf_hash, root_of

# The leaves, roots and proofs that the tests of Certificate Transparency's implementations share.
INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A, B, C = ROOTS[1], "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", ROOTS[4]
D, E = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
)
F, G = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)
H = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = [(0, 1, ()), (0, 8, (F, B, G)), (5, 8, (D, E, C)), (2, 3, (ROOTS[2],)), (1, 5, (A, B, D))]
CONSISTENCY = [(1, 1, ()), (1, 8, (F, B, G)), (6, 8, (H, E, C)), (2, 5, (B, D))]


def test_roots_of_the_published_tree() -> None:
    assert [root_of(LEAVES[:size]).hex() for size in range(9)] == list(ROOTS)


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSION)
def test_published_inclusion_proofs(index: int, size: int, expected: tuple[str, ...]) -> None:
    proof = inclusion_proof(LEAVES[:size], index)
    assert expected == tuple(each.hex() for each in proof)
    assert includes(bytes.fromhex(ROOTS[size]), size, index, LEAVES[index], proof)


@pytest.mark.parametrize(("size", "larger", "expected"), CONSISTENCY)
def test_published_consistency_proofs(size: int, larger: int, expected: tuple[str, ...]) -> None:
    proof = consistency_proof(LEAVES[:larger], size)
    assert expected == tuple(each.hex() for each in proof)
    assert continues(bytes.fromhex(ROOTS[size]), size, bytes.fromhex(ROOTS[larger]), larger, proof)


def tree(size: int) -> list[bytes]:
    return [leaf_hash(b"%d" % number) for number in range(size)]


def flipped(data: bytes, bit: int) -> bytes:
    return bytes(each ^ (1 << bit % 8 if place == bit // 8 else 0) for place, each in enumerate(data))


@given(st.data(), st.integers(1, 130))
def test_a_leaf_is_proved_and_no_other_leaf_place_or_bit(data: st.DataObject, size: int) -> None:
    leaves = tree(size)
    root, index = root_of(leaves), data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    assert includes(root, size, index, leaves[index], proof)
    assert len(proof) <= (size - 1).bit_length()
    for other in {0, size // 2, size - 1, size, -1, data.draw(st.integers(0, size - 1))} - {index}:
        assert not includes(root, size, other, leaves[index], proof)
        assert not includes(root, size, index, leaf_hash(b"other"), proof)
    bit = data.draw(st.integers(0, 255))
    assert not includes(flipped(root, bit), size, index, leaves[index], proof)
    assert not includes(root, size, index, leaves[index], (*proof, root))
    # Beside the right root a proof may fit several sizes; a size is believed with its own root, from its checkpoint.
    for other in {size - 1, size + 1, 2 * size} - {0}:
        assert not includes(root_of(tree(other)), other, index, leaves[index], proof)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not includes(root, size, index, leaves[index], (*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]))
        assert not includes(root, size, index, leaves[index], (*proof[:place], *proof[place + 1 :]))


@given(st.data(), st.integers(1, 130))
def test_a_tree_is_proved_to_have_grown_and_nothing_else(data: st.DataObject, larger: int) -> None:
    leaves = tree(larger)
    size = data.draw(st.integers(1, larger))
    first, second, proof = root_of(leaves[:size]), root_of(leaves), consistency_proof(leaves, size)
    assert continues(first, size, second, larger, proof)
    bit = data.draw(st.integers(0, 255))
    assert not continues(flipped(first, bit), size, second, larger, proof)
    assert not continues(first, size, flipped(second, bit), larger, proof)
    assert not continues(first, size, second, larger, (*proof, second))
    rewritten = [leaf_hash(b"rewritten"), *leaves[1:]]
    assert not continues(first, size, root_of(rewritten), larger, consistency_proof(rewritten, size))
    for other in {1, size - 1, size + 1, larger} - {0, size}:
        assert not continues(root_of(tree(other)), other, second, larger, proof)
    if proof:
        place = data.draw(st.integers(0, len(proof) - 1))
        assert not continues(first, size, second, larger, (*proof[:place], flipped(proof[place], bit), *proof[place + 1 :]))
        assert not continues(first, size, second, larger, (*proof[:place], *proof[place + 1 :]))
        assert not continues(first, size, second, larger, (*proof[:place], b"short", *proof[place + 1 :]))


@pytest.mark.parametrize(("size", "wanted"), [(0, 0), (3, 3), (3, -1)])
def test_what_is_not_in_the_tree_has_no_proof(size: int, wanted: int) -> None:
    with pytest.raises(IndexError):
        inclusion_proof(tree(size), wanted)
    with pytest.raises(IndexError):
        consistency_proof(tree(size), wanted + 1 if wanted == size else wanted)
    assert not continues(root_of([]), 0, root_of(tree(3)), 3, ())
    assert not includes(root_of([]), 0, 0, root_of([]), ())
