"""Announce a release to the pipeline: `make release`.

The zip holds what an installation needs and the registry does not have: the signed record, the
chart, these programs. Its arrival in the bucket starts the pipeline.
"""

import os
import sys
import zipfile
from pathlib import Path

from deploy.release import CHART, RECORD, read
from deploy.signatures import signature_of
from deploy.tools import DeliveryError, report, required, run

ARCHIVE = Path("build/release/release.zip")
_TIME = (1980, 1, 1, 0, 0, 0)


def pack(record: Path, archive: Path) -> list[str]:
    """Write the zip; return the names in it. The same files give the same bytes."""
    if not signature_of(record).exists():
        raise DeliveryError(f"{signature_of(record)} is missing: `make sign` writes it.")
    names = sorted(
        path.as_posix()
        for folder in (CHART, Path("deploy"))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )
    names = ["Makefile", record.as_posix(), signature_of(record).as_posix(), *names]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in names:
            packed.writestr(zipfile.ZipInfo(name, _TIME), Path(name).read_bytes())
    return names


def main() -> int:
    """Pack and upload: once by version, which stays, and once as the newest, which starts."""
    bucket = os.environ.get("BUCKET", "")
    try:
        required({"BUCKET": bucket})
        release = read(RECORD)
        pack(RECORD, ARCHIVE)
        for name in (f"v{release.version}.zip", "current.zip"):
            run("aws", "s3", "cp", "--no-progress", str(ARCHIVE), f"s3://{bucket}/releases/{name}")
    except DeliveryError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    report(f"release: {release.version} is announced; the pipeline installs it in dev", [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
