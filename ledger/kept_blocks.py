"""The tree's blocks, read beside the events that they are of: which leaf was kept of each."""

from collections.abc import Iterator

from ledger.database import Connection
from ledger.findings import Verified, span
from ledger.merkle import BLOCK_LEAVES, HASH_BYTES
from ledger.wording import say

_BLOCKS = "SELECT number, root, leaves FROM merkle_block ORDER BY number"


class KeptBlocks:
    """The blocks of the tree, read beside the events."""

    def __init__(self, connection: Connection, verified: Verified) -> None:
        self._verified = verified
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(number), -1) + 1 FROM merkle_block")
            (blocks,) = cursor.fetchone() or (0,)
        self.last_position: int = blocks * BLOCK_LEAVES
        self._rows = self._read(connection)
        self._next = next(self._rows, None)
        self._number = -1
        self._root: bytes | None = None
        self._leaves = b""

    @staticmethod
    def _read(connection: Connection) -> Iterator[tuple[int, bytes, bytes]]:
        with connection.cursor(name="blocks") as cursor:
            cursor.itersize = 64
            cursor.execute(_BLOCKS)
            for number, root, leaves in cursor:
                yield number, bytes(root or b""), bytes(leaves or b"")

    def leaf(self, position: int) -> bytes | None:
        """Give the leaf that was kept of a position; None where its block is not there, or not whole."""
        block, at = divmod(position - 1, BLOCK_LEAVES)
        if block != self._number:
            self._go_to(block)
        return self._leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES] or None

    def _go_to(self, block: int) -> None:
        self._number, self._root, self._leaves = block, None, b""
        while self._next is not None and self._next[0] < block:
            self._verified.note(
                "block", say("block {number}", number=self._next[0]), say("it is there twice, or out of place")
            )
            self._next = next(self._rows, None)
        if self._next is None or self._next[0] != block:
            return
        _, self._root, leaves = self._next
        self._next = next(self._rows, None)
        if len(leaves) == BLOCK_LEAVES * HASH_BYTES:
            self._leaves = leaves
        else:
            self._verified.note(
                "block",
                _block(block),
                say("it has {leaves_count} bytes of leaves, not those of 256 events", leaves_count=len(leaves)),
            )

    def check_root(self, block: int, root: bytes) -> None:
        """Check a block's root where its last event was read."""
        if self._root is None:
            self._verified.note("block", _block(block), say("it is not there"))
        elif self._root != root:
            said = say(
                "its root is not that of its leaves: an event was changed and the tree with it, or the tree alone"
            )
            self._verified.note("block", _block(block), said)

    def check_end(self, size: int) -> None:
        """Check that there is no block behind the last event."""
        if self._number == size // BLOCK_LEAVES and self._root is not None and size % BLOCK_LEAVES:
            self._verified.note(
                "block", _block(self._number), say("it is there, but the events end at {size}", size=size)
            )
        while self._next is not None:
            self._verified.note(
                "block", _block(self._next[0]), say("it is there, but the events end at {size}", size=size)
            )
            self._next = next(self._rows, None)


def _block(number: int) -> str:
    return span(number * BLOCK_LEAVES + 1, (number + 1) * BLOCK_LEAVES)
