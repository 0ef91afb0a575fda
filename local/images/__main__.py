"""`python -m local.images build|sbom|bases`: what the Makefile runs."""

import argparse
import os

from local.images.bases import renew
from local.images.build import OUTPUT, build, write_sizes
from local.images.engine import find_engine
from local.images.image_list import chosen
from local.images.sbom import write_sbom


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m local.images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, purpose in (
        ("build", "build images, and write what is in them"),
        ("sbom", "write what is in the images that were built, as CycloneDX"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("names", nargs="*", help="which; by default all but those for GPUs")
        command.add_argument("--gpu", action="store_true", help="those for GPUs too: some GB more")
        command.add_argument("--tag", default=os.environ.get("TAG") or "dev")
        command.add_argument(
            "--bases", choices=("registry", "debian"),
            default=os.environ.get("BASES") or "registry",
            help="the official images by digest, or bases made here from Debian's packages",
        )  # fmt: skip
    commands.add_parser("bases", help="write today's digests of the bases into the Dockerfiles")
    given = parser.parse_args()
    if given.command == "bases":
        renew()
        return
    engine = find_engine(given.bases)
    images = chosen(given.names, gpu=given.gpu)
    if given.command == "build":
        write_sizes([build(image, engine, given.tag, given.bases) for image in images])
    for image in images:
        print(write_sbom(engine, image, given.tag, OUTPUT))


main()
