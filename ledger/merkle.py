"""The Merkle tree over the stored bytes, grown leaf by leaf; the head row keeps its peaks.

Shape: leaf i is the event at position i + 1; a leaf's hash is SHA-256(0x00 + bytes), a node's SHA-256(0x01 + left +
right). The frontier is the list of roots of the full subtrees that the size's binary digits name, largest first.
Source: RFC 6962, section 2.1 (RFC 9162, section 2.1).
"""

from hashlib import sha256

HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf."""
    return sha256(b"\x00" + data).digest()


def grow(peaks: list[bytes], size: int, leaf: bytes) -> None:
    """Add one leaf's hash to a frontier of `size` leaves, in place."""
    while size & 1:
        leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
        size >>= 1
    peaks.append(leaf)


def root_hash(peaks: list[bytes]) -> bytes:
    """Give the root of the tree whose frontier this is."""
    if not peaks:
        return sha256(b"").digest()
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = sha256(b"\x01" + peak + root).digest()
    return root


def read_frontier(frontier: bytes) -> list[bytes]:
    """Take a stored frontier apart into its peaks."""
    return [frontier[at : at + HASH_BYTES] for at in range(0, len(frontier), HASH_BYTES)]
