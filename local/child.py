"""Start a program that dies with its parent: `child.py SIGNAL PARENT PROGRAM ARGUMENT...`.

Run as a script, so that it needs nothing but the standard library. Linux tells the program of its
parent's death by the signal; elsewhere the program is started as it is.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, make sure that the parent still lives, become the program."""
    death_signal, parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the parent is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command is the project's own
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
