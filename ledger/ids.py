"""Time-ordered identifiers (UUID version 7), so that an index on them grows at its end.

Source: RFC 9562, section 5.7.
"""

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """Make a UUID of the current millisecond and 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
