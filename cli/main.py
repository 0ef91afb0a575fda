"""The `vigil` command. Each group of sub-commands is a module of this package."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from domain.errors import VigilError
from domain.printable import escaped

# Every group's module has `add(commands)`, which adds its parsers and sets `run` on each.
GROUPS = {
    "services": "start, stop and list the local services",
    "demo": "run everything on this machine, with cameras and the page",
    "schema": "print the JSON Schema of an event",
    "edge": "record cameras at a site",
    "health": "ask a running program of the cloud side for its health",
    "relay": "carry events from SQS to Kafka",
    "topics": "create and check the Kafka topics",
    "catalog": "migrate the PostgreSQL catalog",
    "camera": "register and list cameras",
    "tenant": "erase a tenant",
    "site": "keep a site's configuration in the catalog",
    "config-key": "make the key that signs sites' configurations",
    "device": "enrol devices, list and revoke them",
    "fleet": "update the devices: releases, rollouts over rings",
    "key": "create and revoke API keys",
    "user": "create users, say what they may do, erase them",
    "fsck": "compare S3 with the catalog, and repair them",
    "reconcile": "announce fragments in S3 that were never announced",
    "replay": "rebuild the catalog, or make chunks or detections of the past again",
    "retention": "set how long footage is kept, and delete older footage",
    "hold": "suspend the deletion of footage",
    "infer": "compute models for others, over HTTP",
    "model": "choose the model whose detections are shown, and evaluate models",
    "audit": "list, export, sign and verify the audit log",
    "dlq": "list dead letters, send them again or drop them",
    "support": "collect what someone needs to help, without secrets",
    "cost": "what an installation costs a month on AWS",
    "bench": "measure, or prove by fault injection",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exits 1 with one sentence on an expected error, 130 on Ctrl-C."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except VigilError as error:
        sys.exit(f"vigil: {_printable_lines(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `vigil ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code)


def _printable_lines(text: str) -> str:
    """Return a text with its lines, but without other control characters."""
    return "\n".join(escaped(line) for line in text.split("\n"))


def _run(arguments: list[str]) -> int:
    group = arguments[0] if arguments else ""
    if group not in GROUPS:
        _overview().parse_args(arguments or ["--help"])
        return 0
    parsed = group_parser(group).parse_args(arguments)
    run: Callable[[argparse.Namespace], int | None] = parsed.run
    return run(parsed) or 0


def group_parser(group: str) -> argparse.ArgumentParser:
    """Return the parser of one group of commands."""
    parser = argparse.ArgumentParser(prog="vigil")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _module(group).add(commands)
    return parser


def _overview() -> argparse.ArgumentParser:
    """Return a parser that has only the groups' names, for `--help` and wrong names."""
    parser = argparse.ArgumentParser(
        prog="vigil", description="Video analytics for enterprises with many sites."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in GROUPS.items():
        commands.add_parser(name, help=purpose)
    return parser


def _module(group: str) -> "_CommandGroup":
    """Import only this group's module: the edge does not have the cloud's packages."""
    module = f"cli.{group.replace('-', '_')}"
    try:
        return cast(_CommandGroup, importlib.import_module(module))
    except ModuleNotFoundError as error:
        if error.name == module:
            raise VigilError(f"`vigil {group}` is not part of this installation.") from error
        raise VigilError(
            f"`vigil {group}` needs the package {error.name}, which is not installed. Install "
            "vigil with the extra that this machine needs: edge, cloud or dev."
        ) from error


class _CommandGroup(Protocol):
    """The interface of a group's module."""

    def add(self, commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
        """Add the group's parser; each leaf sets `run`, a function of the parsed arguments."""


if __name__ == "__main__":
    main()
