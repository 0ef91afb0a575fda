"""Identifiers: camera ids, run ids and the keys of objects in S3.

camera   tenant/site/camera, lower-case slugs; the Kafka key of every event of that camera
run      UUIDv7 (RFC 9562) in its 36-character form: runs of a camera sort by their start
fragment camera/run/seq, seq counting from 0
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.errors import InvalidIdError

SLUG = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
CAMERA_PATTERN = rf"^{SLUG}/{SLUG}/{SLUG}$"
SITE_PATTERN = rf"^{SLUG}/{SLUG}$"
RUN_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
MAX_SEQ = 99_999_999

_CHUNK_KEY = re.compile(
    rf"^chunks/(?P<camera>{SLUG}/{SLUG}/{SLUG})/(?P<day>[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}})/"
    r"(?P<clock>[0-9]{6})Z-(?P<window_s>[0-9]{1,4})-(?P<run>[0-9a-f-]{36})-"
    r"(?P<digest>[0-9a-f]{32})\.(?P<suffix>ts|json)$"
)
_FRAGMENT_KEY = re.compile(
    rf"^fragments/(?P<camera>{SLUG}/{SLUG}/{SLUG})/(?P<run>[0-9a-f-]{{36}})/(?P<seq>[0-9]{{8}})\.ts$"
)


def check_camera(camera: str) -> str:
    """Return `camera` when it is tenant/site/camera in slugs; raise InvalidIdError otherwise."""
    if not re.fullmatch(CAMERA_PATTERN, camera):
        raise InvalidIdError(
            f"{camera!r} is not a camera id: write tenant/site/camera in lower-case letters, "
            "digits and inner hyphens, at most 63 characters each."
        )
    return camera


def check_site(site: str) -> str:
    """Return `site` when it is tenant/site in slugs; raise InvalidIdError otherwise."""
    if not re.fullmatch(SITE_PATTERN, site):
        raise InvalidIdError(
            f"{site!r} is not a site: write tenant/site in lower-case letters, digits and inner "
            "hyphens, at most 63 characters each."
        )
    return site


def check_tenant(tenant: str) -> str:
    """Return `tenant` when it is a slug; raise InvalidIdError otherwise."""
    if not re.fullmatch(SLUG, tenant):
        raise InvalidIdError(
            f"{tenant!r} is not a tenant: write lower-case letters, digits and inner hyphens, at "
            "most 63 characters."
        )
    return tenant


def check_run(run: str) -> str:
    """Return `run` when it is a UUIDv7 in lower case; raise InvalidIdError otherwise."""
    if not re.fullmatch(RUN_PATTERN, run):
        raise InvalidIdError(f"{run!r} is not a run id: it must be a UUIDv7 in lower case.")
    return run


CameraId = Annotated[
    str,
    Field(pattern=CAMERA_PATTERN, max_length=191, description="tenant/site/camera in slugs"),
    AfterValidator(check_camera),
]
RunId = Annotated[
    str,
    Field(pattern=RUN_PATTERN, max_length=36, description="UUIDv7 of one capture session"),
    AfterValidator(check_run),
]


def new_run_id(started_ms: int, entropy: bytes) -> str:
    """Make a run id from its start (UTC, ms since 1970) and 10 random bytes (RFC 9562, 5.7)."""
    if not 0 <= started_ms < 1 << 48 or len(entropy) != 10:
        raise InvalidIdError("a run id needs a start of 48 bits and 10 random bytes")
    value = started_ms << 80 | int.from_bytes(entropy, "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_run(text: str) -> bool:
    """Say whether a text is a run's id."""
    try:
        check_run(text)
    except InvalidIdError:
        return False
    return True


def run_started_ms(run: str) -> int:
    """Return when a run started (UTC, ms): its id contains the time."""
    return int(check_run(run).replace("-", "")[:12], 16)


def site_of(camera: str) -> str:
    """Return tenant/site of a camera id."""
    return camera.rsplit("/", 1)[0]


@dataclass(frozen=True, slots=True)
class FragmentId:
    """One fragment: which camera, which run, which place in it."""

    camera: str
    run: str
    seq: int


@dataclass(frozen=True, slots=True)
class ChunkId:
    """One revision of one run's chunk in one window: the chunk's object, or its manifest."""

    camera: str
    run: str
    window_start_ms: int
    window_ms: int
    digest: str
    manifest: bool


def run_prefix(camera: str, run: str) -> str:
    """Return the S3 prefix of all objects of a run."""
    return f"fragments/{check_camera(camera)}/{check_run(run)}/"


def fragment_key(camera: str, run: str, seq: int) -> str:
    """Return a fragment's S3 key: it follows from the id alone, so If-None-Match works."""
    if not 0 <= seq <= MAX_SEQ:
        raise InvalidIdError(f"seq {seq} is not within 0..{MAX_SEQ}")
    return f"{run_prefix(camera, run)}{seq:08d}.ts"


def run_end_key(camera: str, run: str) -> str:
    """Return the S3 key of the object that says how a run ended."""
    return f"{run_prefix(camera, run)}end.json"


def parse_fragment_key(key: str) -> FragmentId | None:
    """Return what a key names, or None if it is not a fragment's key."""
    match = _FRAGMENT_KEY.fullmatch(key)
    if match is None or not re.fullmatch(RUN_PATTERN, match["run"]):
        return None
    return FragmentId(match["camera"], match["run"], int(match["seq"]))


def window_prefix(camera: str, run: str, window_start_ms: int, window_ms: int) -> str:
    """Return the S3 prefix of all revisions of one run's chunk in one window."""
    start = datetime.fromtimestamp(window_start_ms // 1000, UTC)
    day, clock = start.strftime("%Y/%m/%d"), start.strftime("%H%M%S")
    return f"chunks/{check_camera(camera)}/{day}/{clock}Z-{window_ms // 1000}-{check_run(run)}-"


def chunk_key(camera: str, run: str, window_start_ms: int, window_ms: int, digest: str) -> str:
    """Return a chunk's S3 key; with the digest, the same work done twice writes one object."""
    return f"{window_prefix(camera, run, window_start_ms, window_ms)}{digest}.ts"


def chunk_day_prefix(camera: str, day_ms: int) -> str:
    """Return the S3 prefix of all chunks whose window starts on the UTC day of `day_ms`."""
    day = datetime.fromtimestamp(day_ms // 1000, UTC).strftime("%Y/%m/%d")
    return f"chunks/{check_camera(camera)}/{day}/"


def parse_chunk_key(key: str) -> ChunkId | None:
    """Return what the key of a chunk or manifest names, or None if it is neither."""
    match = _CHUNK_KEY.fullmatch(key)
    if match is None or not re.fullmatch(RUN_PATTERN, match["run"]):
        return None
    try:
        start = datetime.strptime(match["day"] + match["clock"], "%Y/%m/%d%H%M%S")
    except ValueError:
        return None
    start_ms = round(start.replace(tzinfo=UTC).timestamp()) * 1000
    window_ms = int(match["window_s"]) * 1000
    manifest = match["suffix"] == "json"
    return ChunkId(match["camera"], match["run"], start_ms, window_ms, match["digest"], manifest)


def manifest_key(chunk: str) -> str:
    """Return the key of the manifest of the chunk with key `chunk`."""
    return chunk.removesuffix(".ts") + ".json"
