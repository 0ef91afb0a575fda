"""`vigil replay`: process the past again. One module for each sub-command."""

import argparse

from cli import replay_catalog, replay_chunks, replay_detections


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay` with its sub-commands."""
    parser = commands.add_parser(
        "replay",
        help="rebuild the catalog, or make chunks or detections again",
        description="Live workers can run at the same time. After Ctrl-C or a crash, the same "
        "command continues where it stopped. Running it twice changes nothing.",
    )
    subcommands = parser.add_subparsers(metavar="COMMAND", required=True)
    replay_catalog.add(subcommands)
    replay_chunks.add(subcommands)
    replay_detections.add(subcommands)
