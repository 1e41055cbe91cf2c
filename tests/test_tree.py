"""The Merkle tree and its proofs, against the RFCs' example, published vectors and other implementations.

The checks of proofs are the verifier's, which shares nothing with ledger/.
"""

import random
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from ledger.database import Database, migrations
from ledger.merkle import (
    BLOCK_LEAVES,
    RootOf,
    consistency_path,
    full_tree,
    inclusion_path,
    leaf_hash,
    node_hash,
)
from ledger.sequencer import Append, Sequencer
from ledger.tree import Tree
from tests.test_sequencer import an_event, rows
from tests.test_verifier_proofs import CERTIFICATE_TRANSPARENCY_LEAVES, CERTIFICATE_TRANSPARENCY_ROOTS
from verifier.merkle import is_consistent, is_included

SIZE_MAX = 300


def root_of(leaves: Sequence[bytes]) -> RootOf:
    """Give the roots of ranges of some leaves' hashes, by the definition's recursion."""

    @cache
    def root(start: int, end: int) -> bytes:
        if end - start == 1:
            return leaves[start]
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        return node_hash(root(start, middle), root(middle, end))

    return root


def hashes(count: int) -> list[bytes]:
    """Make the hashes of so many leaves."""
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.fixture(scope="module")
def other() -> InmemoryTree:
    """Give another implementation's tree of the same leaves."""
    tree = InmemoryTree(algorithm="sha256")
    for number in range(SIZE_MAX):
        tree.append_entry(str(number).encode())
    return tree


def test_roots_are_those_of_certificate_transparency() -> None:
    leaves = [leaf_hash(bytes.fromhex(each)) for each in CERTIFICATE_TRANSPARENCY_LEAVES]
    for size, root in enumerate([sha256(b"").hexdigest(), *CERTIFICATE_TRANSPARENCY_ROOTS]):
        assert full_tree(leaves[:size]).hex() == root


def test_proofs_are_those_of_the_rfcs_example() -> None:
    """RFC 6962, section 2.1.3 (RFC 9162, section 2.1.5): a tree of seven leaves, its nodes by their letters."""
    leaves = hashes(7)
    a, b, c, d, e, f, j = leaves
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741 - the letter of the RFC
    root = root_of(leaves)
    assert inclusion_path(0, 7, root) == [b, h, l]
    assert inclusion_path(3, 7, root) == [c, g, l]
    assert inclusion_path(4, 7, root) == [f, j, k]
    assert inclusion_path(6, 7, root) == [i, k]
    assert consistency_path(3, 7, root) == [c, d, g, l]
    assert consistency_path(4, 7, root) == [l]
    assert consistency_path(6, 7, root) == [i, j, k]


@pytest.mark.parametrize("size", range(1, SIZE_MAX + 1))
def test_proofs_agree_with_another_implementation(other: InmemoryTree, size: int) -> None:
    """For all sizes to 300: roots are equal, paths are (that implementation's hold the leaf too), and lead there."""
    leaves = hashes(size)
    root = root_of(leaves)
    theirs: bytes = other.get_root(size)
    assert full_tree(leaves) == root(0, size) == theirs
    for index in {0, size - 1, size // 2, *(size * number % 7919 % size for number in range(3, 9))}:
        path = inclusion_path(index, size, root)
        assert sorted([*path, leaves[index]]) == sorted(other.prove_inclusion(index + 1, size).path)
        assert is_included(leaves[index], index, size, path, theirs)
        old_size = index + 1
        proof = consistency_path(old_size, size, root)
        assert is_consistent((old_size, other.get_root(old_size)), (size, theirs), proof)


def test_the_control_a_wrong_proof_leads_nowhere(other: InmemoryTree) -> None:
    """Each hash of each proof matters, and so do index, size and root."""
    leaves = hashes(77)
    root, theirs = root_of(leaves), other.get_root(77)
    path, proof = inclusion_path(40, 77, root), consistency_path(41, 77, root)
    assert not is_included(leaves[41], 40, 77, path, theirs)
    assert not is_included(leaves[40], 41, 77, path, theirs)
    assert not is_included(leaves[40], 40, 77, path, leaves[0])
    for at in range(len(path)):
        assert not is_included(leaves[40], 40, 77, [*path[:at], leaves[0], *path[at + 1 :]], theirs)
    for at in range(len(proof)):
        changed = [*proof[:at], leaves[0], *proof[at + 1 :]]
        assert not is_consistent((41, other.get_root(41)), (77, theirs), changed)
    assert not is_consistent((40, other.get_root(40)), (77, theirs), proof)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 600), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_stored_tree_gives_the_proofs_of_its_leaves(
    new_database: Callable[[], Database], batches: list[int], numbers: random.Random
) -> None:
    """However events were appended: blocks are kept as they are completed; roots and proofs follow at any size."""
    database = new_database()
    with closing(Sequencer(database)) as sequencer:
        for batch, size in enumerate(batches):
            sequencer.append(Append([an_event(f"{batch}/{number}") for number in range(size)]))
    leaves = [leaf_hash(state.encode()) for (state,) in rows(database, "SELECT state FROM event ORDER BY position")]
    root, tree, total = root_of(leaves), Tree(database), len(leaves)
    assert tree.head() == (total, root(0, total))
    assert [
        tuple(map(bytes, row)) for row in rows(database, "SELECT root, leaves FROM merkle_block ORDER BY number")
    ] == [
        (root(start, start + BLOCK_LEAVES), b"".join(leaves[start : start + BLOCK_LEAVES]))
        for start in range(0, total // BLOCK_LEAVES * BLOCK_LEAVES, BLOCK_LEAVES)
    ]
    assert tree.root_at(0) == full_tree([])
    for size in {total, *(numbers.randint(1, total) for _ in range(5))}:
        positions = sorted({1, size, *(numbers.randint(1, size) for _ in range(20))})
        assert tree.root_at(size) == root(0, size)
        paths = list(tree.inclusion_proofs(positions, size))
        assert paths == [inclusion_path(position - 1, size, root) for position in positions]
        assert tree.inclusion_proof(positions[-1], size) == paths[-1]
        for old_size in positions:
            assert tree.consistency_proof(old_size, size) == consistency_path(old_size, size, root)
    database.close()


def test_a_ledger_of_before_gets_its_blocks(new_database: Callable[[], Database]) -> None:
    """The migration's SQL makes the blocks that appending would have made."""
    database = new_database()
    with closing(Sequencer(database)) as sequencer:
        sequencer.append(Append([an_event(str(number)) for number in range(1, 1000)]))
    kept = rows(database, "SELECT * FROM merkle_block ORDER BY number")
    migration = next(text for name, _, text in migrations() if name == "0007_merkle.sql")
    with database.administration() as cursor:
        cursor.execute("BEGIN; DROP TABLE merkle_block")
        cursor.execute(migration)
        cursor.execute("COMMIT; GRANT SELECT ON merkle_block TO orderledger_app")
    made = rows(database, "SELECT * FROM merkle_block ORDER BY number")
    assert [tuple(map(bytes, row[1:])) for row in made] == [tuple(map(bytes, row[1:])) for row in kept]
    assert [row[0] for row in made] == [row[0] for row in kept] == [0, 1, 2]
