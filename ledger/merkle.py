"""The Merkle tree over the stored bytes: grown leaf by leaf, and the proofs that an auditor checks.

Shape: leaf i is the event at position i + 1; a leaf's hash is SHA-256(0x00 + bytes), a node's SHA-256(0x01 + left +
right). The frontier is the list of roots of the full subtrees that the size's binary digits name, largest first; the
head row keeps it. A block is the full subtree of BLOCK_LEAVES leaves. Proofs are made of the roots of ranges of leaves,
which the caller finds (tree.py); checking them is not this module's work, but that of whoever doubts us.
Source: RFC 6962, section 2.1 (RFC 9162, section 2.1).
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

HASH_BYTES = 32
BLOCK_LEVELS = 8
BLOCK_LEAVES = 1 << BLOCK_LEVELS

RootOf = Callable[[int, int], bytes]
"""Gives the root of the leaves [start, end), a range that the tree's own shape cuts out."""


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash a node of the tree from the two below it."""
    return sha256(b"\x01" + left + right).digest()


def grow(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Add one leaf's hash to a frontier of `size` leaves, in place."""
    while size & 1:
        leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
        size >>= 1
    peaks.append(leaf)


def root_hash(peaks: Sequence[bytes]) -> bytes:
    """Give the root of the tree whose frontier this is."""
    if not peaks:
        return sha256(b"").digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = sha256(b"\x01" + peak + root).digest()
    return root


def completed_block(peaks: Sequence[bytes], leaf: bytes) -> bytes:
    """Give the root of the block that this leaf completes, the frontier being that of the leaves before it."""
    return root_hash([*peaks[-BLOCK_LEVELS:], leaf])


def full_tree(leaves: Sequence[bytes]) -> bytes:
    """Give the root of some leaves' hashes."""
    peaks = list[bytes]()
    for size, leaf in enumerate(leaves):
        grow(peaks, size, leaf)
    return root_hash(peaks)


def split_hashes(stored: bytes) -> list[bytes]:
    """Take hashes apart that are stored one behind the other: a frontier's peaks, a block's leaves."""
    return [stored[at : at + HASH_BYTES] for at in range(0, len(stored), HASH_BYTES)]


def inclusion_path(index: int, size: int, root_of: RootOf) -> list[bytes]:
    """Give the audit path of leaf `index` in the tree of `size` leaves, from the leaf upwards.

    Source: RFC 6962, section 2.1.1.
    """
    assert 0 <= index < size, "the leaf is in the tree"
    path = list[bytes]()
    start, end = 0, size
    while end - start > 1:
        middle = start + _left_leaves(end - start)
        if index < middle:
            path.append(root_of(middle, end))
            end = middle
        else:
            path.append(root_of(start, middle))
            start = middle
    return path[::-1]


def consistency_path(old_size: int, size: int, root_of: RootOf) -> list[bytes]:
    """Give the proof that the tree of `old_size` leaves is the beginning of the tree of `size` leaves.

    Source: RFC 6962, section 2.1.2.
    """
    assert 0 < old_size <= size, "the older tree has leaves, and not more"
    path = list[bytes]()
    start, end = 0, size
    while old_size != end:
        middle = start + _left_leaves(end - start)
        if old_size <= middle:
            path.append(root_of(middle, end))
            end = middle
        else:
            path.append(root_of(start, middle))
            start = middle
    if start:
        path.append(root_of(start, end))
    return path[::-1]


def _left_leaves(count: int) -> int:
    """Give how many of so many leaves are left of the root: the largest power of two below their number."""
    return 1 << (count - 1).bit_length() - 1
