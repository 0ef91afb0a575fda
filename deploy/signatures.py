"""Signs and verifies a release with cosign: `make sign`, `make verify`.

Each image gets a signature and two attestations, the SBOM and the provenance. The record of the
release is signed too, since it names the chart. The key is one of KMS in production
(awskms:///ARN) and a file elsewhere. A public transparency log is not used: it would publish the
names of private images for ever.
"""

import base64
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy import provenance
from deploy.release import CHART, RECORD, Release, ReleasedImage, hash_of, read
from deploy.tools import DeliveryError, ProgramError, report, required, run

SBOMS = Path("build/images")
_NO_LOG = '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}'
"""A signing configuration without a transparency log and without time stamps."""


def signature_of(record: Path) -> Path:
    """Return where the signature of a record is."""
    return record.with_suffix(".json.sig")


def sign(release: Release, record: Path, key: str, sboms: Path) -> None:
    """Sign images and record. Raises DeliveryError where an SBOM is missing or cosign fails."""
    for name in release.images:
        if not _sbom(sboms, name).exists():
            raise DeliveryError(f"{_sbom(sboms, name)} is missing: `make images` writes it.")
    with _files() as (folder, config):
        options = ("--key", key, "--signing-config", str(config), "--yes")
        for name, image in release.images.items():
            made = folder / f"{name}.json"
            made.write_text(
                json.dumps(provenance.predicate(release, name, provenance.build_environment()))
            )
            registry = _registry_options(image)
            run("cosign", "sign", *options, *registry, str(image))
            for kind, predicate in (("cyclonedx", _sbom(sboms, name)), ("slsaprovenance1", made)):
                run(
                    "cosign", "attest", *options, *registry, "--type", kind,
                    "--predicate", str(predicate), str(image),
                )  # fmt: skip
        run("cosign", "sign-blob", *options, "--bundle", str(signature_of(record)), str(record))


def verify(
    record: Path, key: str, chart: Path, builder: str = "", only: str | None = None
) -> Release:
    """Return the release if everything of it is signed by the key; raise DeliveryError if not.

    `builder`: the beginning of the builder's id that provenances have to name; empty accepts any.
    `only`: the name of one image, where the others are not asked for.
    """
    release = read(record)
    options = ("--key", key, "--insecure-ignore-tlog")
    try:
        bundle = str(signature_of(record))
        run("cosign", "verify-blob", *options, "--bundle", bundle, str(record))
    except ProgramError as error:
        raise DeliveryError(f"{record} is not signed by our key. {error}") from error
    if hash_of(chart) != release.chart:
        raise DeliveryError(f"{chart} is not the chart of release {release.version}.")
    for name, image in release.images.items():
        if only is None or name == only:
            _verify(name, image, release, options, builder)
    return release


def _verify(
    name: str, image: ReleasedImage, release: Release, options: tuple[str, ...], builder: str
) -> None:
    registry = _registry_options(image)
    try:
        run("cosign", "verify", *options, *registry, str(image))
    except ProgramError as error:
        raise DeliveryError(
            f"The image {name}, {image}, is not signed by our key. {error}"
        ) from error
    found = {}
    for kind in ("cyclonedx", "slsaprovenance1"):
        try:
            printed = run(
                "cosign", "verify-attestation", *options, *registry, "--type", kind, str(image)
            )
        except ProgramError as error:
            raise DeliveryError(f"The image {name}, {image}, has no {kind}. {error}") from error
        found[kind] = _predicate(printed)
    commit = provenance.commit_of(found["slsaprovenance1"])
    if commit != release.commit:
        raise DeliveryError(
            f"The image {name} is from commit {commit}, the release is {release.commit}."
        )
    made_by = provenance.builder_of(found["slsaprovenance1"])
    if not made_by.startswith(builder):
        raise DeliveryError(f"The image {name} was built by {made_by}, not by {builder}.")


def _predicate(printed: str) -> Mapping[str, Any]:
    """Return the predicate of the newest statement that cosign printed, one in each line."""
    statement = json.loads(base64.b64decode(json.loads(printed.splitlines()[-1])["payload"]))
    predicate: Mapping[str, Any] = statement["predicate"]
    return predicate


def _sbom(folder: Path, name: str) -> Path:
    return folder / f"vigil-{name}.cdx.json"


def _registry_options(image: ReleasedImage) -> tuple[str, ...]:
    return ("--allow-http-registry",) if image.repository.startswith("127.0.0.1:") else ()


@contextmanager
def _files() -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory(prefix="vigil-sign-") as folder:
        config = Path(folder) / "signing-config.json"
        config.write_text(_NO_LOG)
        yield Path(folder), config


def main() -> int:
    """`sign` or `verify` the record of the release with KEY."""
    command, key = sys.argv[1], os.environ.get("KEY", "")
    try:
        required({"KEY": key})
        if command == "sign":
            release = read(RECORD)
            sign(release, RECORD, key, SBOMS)
        else:
            release = verify(RECORD, key, CHART, os.environ.get("BUILDER", ""))
    except DeliveryError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    done = "signed" if command == "sign" else "signed by our key, with SBOM and provenance"
    report(
        f"{command}: release {release.version}", [f"{i} {done}" for i in release.images.values()]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
