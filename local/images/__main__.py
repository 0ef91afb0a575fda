"""`python -m local.images build|bases`: what the Makefile runs."""

import argparse
import os

from local.images.bases import renew
from local.images.build import build, write_sizes
from local.images.engine import find_engine
from local.images.image_list import chosen


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m local.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build images")
    building.add_argument("names", nargs="*", help="which; by default all but those for GPUs")
    building.add_argument("--gpu", action="store_true", help="those for GPUs too: some GB more")
    building.add_argument("--tag", default=os.environ.get("TAG") or "dev")
    building.add_argument(
        "--bases", choices=("registry", "debian"), default=os.environ.get("BASES") or "registry",
        help="the official images by digest, or bases made here from Debian's packages",
    )  # fmt: skip
    commands.add_parser("bases", help="write today's digests of the bases into the Dockerfiles")
    given = parser.parse_args()
    if given.command == "bases":
        renew()
        return
    engine = find_engine(given.bases)
    built = [
        build(image, engine, given.tag, given.bases) for image in chosen(given.names, gpu=given.gpu)
    ]
    write_sizes(built)


main()
