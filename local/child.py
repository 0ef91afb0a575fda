"""Start a program that dies with its parent: `child.py SIGNAL PARENT PROGRAM ARGUMENT...`.

It runs as a script, and needs only the standard library. Linux sends the program the signal when
its parent dies (PR_SET_PDEATHSIG). On other systems the program starts without that.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Request the signal, make sure that the parent still lives, then exec the program."""
    death_signal, parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the parent has ended")
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is the project's own
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
