"""Runs a program that dies with its parent, however the parent dies. Run as a script: `leash.py <parent pid> <program> …`.

On Linux the kernel keeps the promise (PR_SET_PDEATHSIG survives exec): nothing of this script remains in memory. Elsewhere it
stays as a small watcher, and the program is killed when the watcher's standard input, which the parent holds, ends.
Standard library only: it starts in about 20 ms.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1  # prctl(2)


def bound(parent: int, program: list[str]) -> None:
    """Become `program`, which the kernel kills when the parent is gone."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it died before the promise was made: prctl(2) tells of this race
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606  # no shell is wanted


def watched(program: list[str]) -> int:
    """Run `program` and kill it when standard input ends; its exit status."""
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL)  # noqa: S603  # the gateway's own command line

    def watch() -> None:
        while os.read(0, 4096):
            pass
        child.kill()

    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        bound(parent, program)
    sys.exit(watched(program))


if __name__ == "__main__":
    main()
