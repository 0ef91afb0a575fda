"""Who and which: ids and keys, there and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidIdError
from domain.identity import (
    CAMERA_PATTERN,
    MAX_SEQ,
    RUN_PATTERN,
    SLUG,
    FragmentId,
    check_camera,
    check_run,
    chunk_key,
    fragment_key,
    manifest_key,
    new_run_id,
    parse_fragment_key,
    run_end_key,
    run_prefix,
    run_started_ms,
    site_of,
    window_prefix,
)
from tests.unit.domain.footage import CAMERA, RUN, T0_MS

SLUGS = st.from_regex(SLUG, fullmatch=True)
CAMERAS = st.tuples(SLUGS, SLUGS, SLUGS).map("/".join)
STARTS = st.integers(0, (1 << 48) - 1)
ENTROPY = st.binary(min_size=10, max_size=10)


@given(CAMERAS, STARTS, ENTROPY, st.integers(0, MAX_SEQ))
def test_fragment_keys_there_and_back(camera: str, at_ms: int, entropy: bytes, seq: int) -> None:
    run = new_run_id(at_ms, entropy)
    assert parse_fragment_key(fragment_key(camera, run, seq)) == FragmentId(camera, run, seq)


@given(STARTS, ENTROPY)
def test_run_ids_carry_their_start(at_ms: int, entropy: bytes) -> None:
    run = new_run_id(at_ms, entropy)
    assert re.fullmatch(RUN_PATTERN, run)
    assert run_started_ms(run) == at_ms


@given(STARTS, STARTS, ENTROPY, ENTROPY)
def test_run_ids_sort_by_time(one_ms: int, other_ms: int, some: bytes, more: bytes) -> None:
    if one_ms < other_ms:
        assert new_run_id(one_ms, some) < new_run_id(other_ms, more)


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_run_ids_keep_74_random_bits(some: bytes, more: bytes) -> None:
    def random_bits(entropy: bytes) -> int:
        return int.from_bytes(entropy, "big") & ~(0xF << 76) & ~(0x3 << 62)

    same = random_bits(some) == random_bits(more)
    assert (new_run_id(T0_MS, some) == new_run_id(T0_MS, more)) == same


@given(STARTS, ENTROPY, st.integers(0, MAX_SEQ), st.integers(0, MAX_SEQ))
def test_fragment_keys_sort_by_seq(at_ms: int, entropy: bytes, one: int, other: int) -> None:
    run = new_run_id(at_ms, entropy)
    keys = fragment_key(CAMERA, run, one), fragment_key(CAMERA, run, other)
    assert (keys[0] < keys[1]) == (one < other)


@pytest.mark.parametrize(
    ("start_ms", "entropy"), [(-1, b"0" * 10), (1 << 48, b"0" * 10), (0, b"0" * 9), (0, b"")]
)
def test_run_ids_are_made_of_48_bits_and_10_bytes(start_ms: int, entropy: bytes) -> None:
    with pytest.raises(InvalidIdError, match="48 bits"):
        new_run_id(start_ms, entropy)


@pytest.mark.parametrize(
    "camera",
    [
        "",
        "acme",
        "acme/berlin",
        "acme/berlin/gate/1",
        "Acme/berlin/gate",
        "acme/berlin/gate_1",
        "acme/-berlin/gate",
        "acme/berlin-/gate",
        "acme//gate",
        "acme/berlin/gate\n",
        " acme/berlin/gate",
        "acme/berlin/..",
        "acme/bérlin/gate",
        f"acme/berlin/{'x' * 64}",
    ],
)
def test_malformed_camera_ids_are_refused(camera: str) -> None:
    with pytest.raises(InvalidIdError, match="tenant/site/camera"):
        check_camera(camera)
    with pytest.raises(InvalidIdError):
        fragment_key(camera, RUN, 0)


@given(st.text(max_size=40))
def test_any_text_is_a_camera_id_or_refused(text: str) -> None:
    if re.fullmatch(CAMERA_PATTERN, text):
        assert check_camera(text) == text
    else:
        with pytest.raises(InvalidIdError):
            check_camera(text)


@pytest.mark.parametrize(
    "run",
    [
        "",
        RUN.upper(),
        RUN[:-1],
        RUN + "0",
        RUN.replace("-", ""),
        RUN + "\n",
        "01a3185c-5000-4000-8000-000000000000",  # version 4
        "01a3185c-5000-7000-c000-000000000000",  # another variant
    ],
)
def test_malformed_run_ids_are_refused(run: str) -> None:
    assert run != RUN
    with pytest.raises(InvalidIdError, match="UUIDv7"):
        check_run(run)


@pytest.mark.parametrize("seq", [-1, MAX_SEQ + 1])
def test_seqs_out_of_bounds_have_no_key(seq: int) -> None:
    with pytest.raises(InvalidIdError, match="not within"):
        fragment_key(CAMERA, RUN, seq)


KEY = f"fragments/{CAMERA}/{RUN}/00000007.ts"


@pytest.mark.parametrize(
    "key",
    [
        "",
        run_end_key(CAMERA, RUN),
        KEY.replace("fragments", "chunks"),
        KEY + "x",
        KEY + "\n",
        "/" + KEY,
        KEY.replace("00000007", "7"),
        KEY.replace("00000007", "0000000٧"),  # a digit, but none of ours
        KEY.replace("-7000-", "-4000-"),
        KEY.replace("acme", "Acme"),
    ],
)
def test_other_keys_name_no_fragment(key: str) -> None:
    assert parse_fragment_key(KEY) == FragmentId(CAMERA, RUN, 7)
    assert parse_fragment_key(key) is None


def test_keys_are_as_documented() -> None:
    """Written out: a change would lose the objects in S3."""
    run = "01a3185c-5000-7000-8000-000000000000"
    assert fragment_key("a/b/c", run, 7) == f"fragments/a/b/c/{run}/00000007.ts"
    assert run_end_key("a/b/c", run) == f"fragments/a/b/c/{run}/end.json"
    assert run_prefix("a/b/c", run) == f"fragments/a/b/c/{run}/"
    start_ms = 1_795_368_780_000  # 2026-11-22T17:33:00Z
    chunk = chunk_key("a/b/c", run, start_ms, 60_000, "d" * 32)
    assert chunk == f"chunks/a/b/c/2026/11/22/173300Z-60-{run}-{'d' * 32}.ts"
    assert chunk.startswith(window_prefix("a/b/c", run, start_ms, 60_000))
    assert manifest_key(chunk) == chunk[:-3] + ".json"
    assert site_of("a/b/c") == "a/b"


def test_window_lengths_do_not_share_a_prefix() -> None:
    assert not window_prefix("a/b/c", RUN, 0, 60_000).startswith(
        window_prefix("a/b/c", RUN, 0, 6_000)
    )
