"""The ledger's Merkle tree as it is stored: roots and proofs at any size, from blocks and the leaves of a few of them.

Nothing here is trusted by whoever checks: a proof made of a changed ledger does not lead to the root that was signed.
Source: RFC 6962, section 2.1; merkle.py has the shapes.
"""

from collections.abc import Iterable, Iterator

from ledger.database import Cursor, Database, one
from ledger.merkle import (
    BLOCK_LEAVES,
    BLOCK_LEVELS,
    consistency_path,
    full_tree,
    inclusion_path,
    leaf_hash,
    node_hash,
    split_hashes,
)


class Tree:
    """The tree of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self) -> tuple[int, bytes]:
        """Give the size and the root that the head row names."""
        with self._database.cursor() as cursor:
            cursor.execute("SELECT position, root FROM head")
            size, root = one(cursor)
            return size, bytes(root)

    def root_at(self, size: int) -> bytes:
        """Give the root of the first `size` events."""
        with self._database.cursor() as cursor:
            return full_tree([]) if size == 0 else _Nodes(cursor, size).root_of(0, size)

    def inclusion_proof(self, position: int, size: int) -> list[bytes]:
        """Give the audit path of the event at a position in the tree of `size` events, from the leaf upwards."""
        return next(self.inclusion_proofs([position], size))

    def inclusion_proofs(self, positions: Iterable[int], size: int) -> Iterator[list[bytes]]:
        """Give the audit paths of the events at these positions; fast where they ascend."""
        with self._database.transaction("ISOLATION LEVEL REPEATABLE READ, READ ONLY") as cursor:
            nodes = _Nodes(cursor, size)
            for position in positions:
                yield inclusion_path(position - 1, size, nodes.root_of)

    def consistency_proof(self, old_size: int, size: int) -> list[bytes]:
        """Give the proof that the first `old_size` events are the beginning of the first `size`."""
        with self._database.cursor() as cursor:
            return consistency_path(old_size, size, _Nodes(cursor, size).root_of)


class _Nodes:
    """The nodes of the tree of `size` events: those above blocks are computed once, those in a block for a while."""

    def __init__(self, cursor: Cursor, size: int) -> None:
        self._cursor = cursor
        self._size = size
        self._right_edge = dict[int, bytes]()
        self._in_block = dict[tuple[int, int], bytes]()
        self._block = -1
        cursor.execute(
            "SELECT root FROM merkle_block WHERE number < %s ORDER BY number",
            (size // BLOCK_LEAVES,),
        )
        level = [bytes(root) for (root,) in cursor.fetchall()]
        self._above = [level]
        while len(level) > 1:
            level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._above.append(level)

    def root_of(self, start: int, end: int) -> bytes:
        """Give the root of the leaves [start, end); all proofs share those at the right edge."""
        if end < self._size:
            return self._root_of(start, end)
        if start not in self._right_edge:
            self._right_edge[start] = self._root_of(start, end)
        return self._right_edge[start]

    def _root_of(self, start: int, end: int) -> bytes:
        level = (end - start).bit_length() - 1
        if end - start == 1 << level and start % (1 << level) == 0:
            return self._full(level, start >> level)
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        return node_hash(self.root_of(start, middle), self.root_of(middle, end))

    def _full(self, level: int, number: int) -> bytes:
        if level >= BLOCK_LEVELS:
            return self._above[level - BLOCK_LEVELS][number]
        self._read_block((number << level) // BLOCK_LEAVES)
        return self._in_block[level, number]

    def _read_block(self, block: int) -> None:
        """Compute the nodes of one block, the last of which may not be full."""
        if block == self._block:
            return
        level = self._leaves(block)
        self._block, self._in_block = block, {}
        for height in range(BLOCK_LEVELS):
            start = block << BLOCK_LEVELS - height
            self._in_block.update({(height, start + at): node for at, node in enumerate(level)})
            level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]

    def _leaves(self, block: int) -> list[bytes]:
        """Give the hashes of a block's leaves: as they were kept, or those of the events behind the last full block."""
        self._cursor.execute("SELECT leaves FROM merkle_block WHERE number = %s", (block,))
        row = self._cursor.fetchone()
        if row is not None and (block + 1) * BLOCK_LEAVES <= self._size:
            return split_hashes(bytes(row[0]))
        first = block * BLOCK_LEAVES
        self._cursor.execute(
            "SELECT state FROM event WHERE position > %s AND position <= %s ORDER BY position",
            (first, min(first + BLOCK_LEAVES, self._size)),
        )
        return [leaf_hash(state.encode()) for (state,) in self._cursor.fetchall()]
