"""The Merkle tree over the stored events: roots, and checking proofs of inclusion and of consistency.

Leaf i of the tree is the event at position i + 1.
Source: RFC 6962, section 2.1; RFC 9162, sections 2.1.3.2 and 2.1.4.2, whose steps the two checks follow.
"""

from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """Hash a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node."""
    return sha256(b"\x01" + left + right).digest()


def roots(leaves: Iterable[bytes], sizes: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Give the roots of the trees of the first so many leaf hashes, for the sizes asked for, ascending."""
    subtrees = list[bytes]()
    if 0 in sizes:
        yield 0, EMPTY_ROOT
    for size, leaf in enumerate(leaves, 1):
        joined, complete = leaf, size
        while complete % 2 == 0:
            joined, complete = node_hash(subtrees.pop(), joined), complete // 2
        subtrees.append(joined)
        if size in sizes:
            yield size, _joined(subtrees)


def _joined(subtrees: list[bytes]) -> bytes:
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def is_included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Say whether an audit path proves that the tree of this size and root has the leaf hash at this index."""
    if not 0 <= index < size:
        return False
    node, last, reached = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node % 2 == 1 or node == last:
            reached = node_hash(sibling, reached)
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            reached = node_hash(reached, sibling)
        node, last = node // 2, last // 2
    return last == 0 and reached == root


def is_consistent(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> bool:
    """Say whether a proof shows that the new tree (size, root) begins with the leaves of the old one."""
    (old_size, old_root), (new_size, new_root) = old, new
    if not 0 < old_size <= new_size:
        return old_size == 0 and old_root == EMPTY_ROOT and not path
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size & (old_size - 1) == 0:
        path = [old_root, *path]
    if not path:
        return False
    node, last = old_size - 1, new_size - 1
    while node % 2 == 1:
        node, last = node // 2, last // 2
    old_reached = new_reached = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node % 2 == 1 or node == last:
            old_reached, new_reached = node_hash(sibling, old_reached), node_hash(sibling, new_reached)
            while node % 2 == 0 and node != 0:
                node, last = node // 2, last // 2
        else:
            new_reached = node_hash(new_reached, sibling)
        node, last = node // 2, last // 2
    return last == 0 and old_reached == old_root and new_reached == new_root
