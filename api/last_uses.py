"""When a token was used last, written down seldom: at most once a minute for each in one process.

It is no log: what is known here is how long ago a use was written down, so that most uses write nothing. What can't be
written down keeps nobody out.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import psycopg2

NOTED_EVERY: Final = timedelta(minutes=1)
KEYS_MAX: Final = 10_000
_log = logging.getLogger("orderledger.access")


class LastUses:
    """The uses of one process; of the keys that were written down longest ago it forgets those beyond KEYS_MAX."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted = OrderedDict[str, datetime]()

    def note(self, key: str, now: datetime, write: Callable[[], None]) -> None:
        """Write down a use, unless one of the same key was within the minute."""
        if self._is_due(key, now):
            try:
                write()
            except psycopg2.Error as error:
                _log.warning("a last use can't be noted: %s", str(error).strip())

    def _is_due(self, key: str, now: datetime) -> bool:
        with self._lock:
            noted = self._noted.get(key)
            if noted is not None and timedelta(0) <= now - noted < NOTED_EVERY:
                return False
            self._noted[key] = now
            self._noted.move_to_end(key)
            if len(self._noted) > KEYS_MAX:
                self._noted.popitem(last=False)
            return True
