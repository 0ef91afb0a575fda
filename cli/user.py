"""`vigil user`: erase users."""

import argparse

from cli import user_erase


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `user erase`."""
    parser = commands.add_parser("user", help="erase users")
    verbs = parser.add_subparsers(dest="verb", required=True)
    user_erase.add(verbs)
