"""The folder in which the processes of a service add up their figures.

It must be named before anything imports prometheus_client, which looks for it once; so it is apart from api/metrics.py.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
MEMORY: Final = "/dev/shm"  # noqa: S108 - a new folder of ours is made in it
"""Where it is to be, if that is there: a full disk must not end a process that counts."""


@contextmanager
def metrics_folder() -> Iterator[None]:
    """Have an empty folder for the figures of this run, removed by the process that made it, not by those it forked."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else None
    folder, maker = tempfile.mkdtemp(prefix="orderledger-metrics-", dir=parent), os.getpid()
    os.environ[VARIABLE] = folder
    try:
        yield
    finally:
        if os.getpid() == maker:
            del os.environ[VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)
