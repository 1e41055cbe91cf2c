"""The program between the supervisor and PostgreSQL: change the user, tie the process to its parent, exec.

A program of its own and not a `preexec_fn`, because code between fork and exec is unsafe in a process with
threads. It is not a module to import: `ledger.embedded` runs it with one argument, a JSON object.

Shape: {"parent": pid, "account": [uid, gid] or null, "needs": [[path, access mode], ...], "argv": [...]}.
Errors: exit status 78 with one sentence on stderr; every other status is that of the program.
Source: prctl(2), capabilities(7), credentials(7), PR_SET_PDEATHSIG(2const).
"""

import ctypes
import json
import os
import signal
import struct
import sys
from typing import NoReturn

LINUX = sys.platform == "linux"
REFUSED = 78

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 1, 8, 27, 28, 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETPCAP = 1, 2, 8
CAPABILITY_HEADER = struct.pack("Ii", 0x20080522, 0)

Needs = list[tuple[str, int]]


def refuse(sentence: str) -> NoReturn:
    """Say why PostgreSQL is not started, and end."""
    print(f"orderledger: {sentence}", file=sys.stderr, flush=True)
    sys.exit(REFUSED)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2); -1 when the kernel says no."""
    words = [ctypes.c_ulong(word) for word in (*arguments, 0, 0, 0, 0)[:4]]
    return int(ctypes.CDLL(None).prctl(option, *words))


def permitted_capabilities() -> int:
    """The capabilities this process may use, as a bit mask."""
    words = ctypes.create_string_buffer(24)
    if ctypes.CDLL(None).capget(CAPABILITY_HEADER, words) != 0:
        return 0
    _, low, _, _, high, _ = struct.unpack("6I", words.raw)
    return int(low | high << 32)


def set_capabilities(*, effective: int, permitted: int, inheritable: int) -> bool:
    """Set this thread's three capability sets; False when the kernel says no."""
    masks = (effective, permitted, inheritable)
    words = struct.pack("6I", *(mask & 0xFFFFFFFF for mask in masks), *(mask >> 32 for mask in masks))
    return bool(ctypes.CDLL(None).capset(CAPABILITY_HEADER, words) == 0)


def become(uid: int, gid: int) -> None:
    """Change to another user for good; on Linux keep the capabilities at hand, none of them in effect."""
    try:
        if LINUX:
            prctl(PR_SET_KEEPCAPS, 1)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as error:
        refuse(f"cannot change to uid {uid}, gid {gid} ({error.strerror}): run this as an ordinary user")


def unreachable(needs: Needs) -> str | None:
    """The first path this user, with the capabilities now in effect, cannot use as it must."""
    for path, mode in needs:
        if not os.access(path, mode, effective_ids=os.access in os.supports_effective_ids):
            return path
    return None


def lend(capability: int, needs: Needs) -> bool:
    """Keep one capability across exec if it makes every path reachable.

    The secure bit is needed because PostgreSQL looks for its own program with access(2), which ignores the
    capabilities of a user other than root unless SECBIT_NO_SETUID_FIXUP is set.
    """
    bit = 1 << capability
    permitted = permitted_capabilities()
    if not permitted & bit:
        return False
    set_capabilities(effective=permitted, permitted=permitted, inheritable=0)
    if prctl(PR_SET_SECUREBITS, prctl(PR_GET_SECUREBITS) | SECBIT_NO_SETUID_FIXUP) != 0:
        return False
    set_capabilities(effective=bit, permitted=permitted, inheritable=bit)
    if unreachable(needs) is not None:
        return False
    set_capabilities(effective=bit, permitted=bit, inheritable=bit)
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability) == 0


def secure_reach(needs: Needs) -> None:
    """Make sure the new user reaches its paths: without any capability, else with the smallest that does.

    Ties: CAP_DAC_READ_SEARCH (pass through and read) before CAP_DAC_OVERRIDE (write as well), the only one of
    the two in Docker's default set.
    """
    path = unreachable(needs)
    if path is None:
        if LINUX:
            set_capabilities(effective=0, permitted=0, inheritable=0)
        return
    if not LINUX or not any(lend(each, needs) for each in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE)):
        refuse(
            f"PostgreSQL does not run as root, and uid {os.getuid()}, which it runs as instead, cannot reach "
            f"{path}; this machine withholds the capabilities that would let it (CAP_DAC_READ_SEARCH or "
            "CAP_DAC_OVERRIDE, with CAP_SETPCAP): put the data folder and the Python environment where that "
            "user can reach them, or run this as an ordinary user"
        )


def die_with(parent: int) -> None:
    """Have the kernel send SIGINT, a fast shutdown, when the parent's thread ends; end now if it has already.

    Set after the change of user, which clears it; exec keeps it.
    """
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        refuse(f"process {parent}, which asked for this, has ended")


def main() -> NoReturn:
    """Run the order given as the only argument."""
    order = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if order["account"] is not None:
        become(*order["account"])
        secure_reach([(path, mode) for path, mode in order["needs"]])
    die_with(order["parent"])
    try:
        os.execv(order["argv"][0], order["argv"])  # noqa: S606
    except OSError as error:
        refuse(f"cannot run {order['argv'][0]}: {error.strerror}")


if __name__ == "__main__":
    main()
