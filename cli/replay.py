"""`vigil replay`: the past once more, beside the live workers. One module for each sub-command."""

import argparse

from cli import replay_catalog, replay_chunks, replay_detections


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `replay` with its sub-commands."""
    parser = commands.add_parser(
        "replay",
        help="rebuild the catalog, or make chunks or detections again, from the past",
        description="Runs beside the live workers. Stopped by Ctrl-C or a crash, the same command "
        "goes on where it stopped; done twice, it changes nothing.",
    )
    whats = parser.add_subparsers(metavar="WHAT", required=True)
    replay_catalog.add(whats)
    replay_chunks.add(whats)
    replay_detections.add(whats)
