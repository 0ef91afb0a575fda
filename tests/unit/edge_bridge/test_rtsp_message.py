import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.rtsp.errors import CameraError, UnsupportedStreamError
from edge_bridge.rtsp.message import (
    MAX_BODY,
    MAX_HEADER,
    Message,
    RtspParser,
    encode_request,
    encode_url,
    parse_header,
)


def taken(data: bytes, cuts: list[int] | None = None) -> tuple[list[Message | bytes], bytes]:
    """Return what comes of bytes that arrive cut at these places, and what is left."""
    incoming, items = RtspParser(), []
    places = sorted({min(cut, len(data)) for cut in cuts or []} | {0, len(data)})
    for begin, end in zip(places, places[1:] or [len(data)], strict=False):
        incoming.receive_data(data[begin:end])
        while (item := incoming.next_event()) is not None:
            items.append(item)
    return items, incoming.leftover


def answer(body: bytes = b"", headers: str = "", status: str = "200 OK") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status}\r\nCSeq: 1\r\n{headers}{length}\r\n".encode() + body


def frame(payload: bytes, channel: int = 0) -> bytes:
    return b"$" + bytes([channel]) + len(payload).to_bytes(2, "big") + payload


def test_an_answer_with_a_body_and_what_follows_it() -> None:
    data = answer(b"v=0\r\n", "Session: 12;timeout=60\r\n") + frame(b"abc") + b"$\0\0"
    (message, sent), rest = taken(data)
    assert isinstance(message, Message)
    assert (message.status, message.reason, message.body) == (200, "OK", b"v=0\r\n")
    assert message.first("session") == "12;timeout=60"
    assert message.first("public") is None
    assert sent == frame(b"abc") and rest == b"$\0\0"


@pytest.mark.parametrize(
    ("head", "code", "headers"),
    [
        (b"RTSP/1.0 404", 404, ()),
        (b"RTSP/1.0  200   OK then", 200, ()),
        (b"RTSP/1.0 200 OK\nA: b\nC:d", 200, (("a", "b"), ("c", "d"))),
        (b"RTSP/1.0 200 OK\r\nA: b\r\n\tgoes on\r\nnothing\r\n", 200, (("a", "b goes on"),)),
        # All bytes stay, for Digest; `printable` cleans what is shown.
        (b"RTSP/1.0 200 OK\r\nA: b\rX: \x1b[2J\xff", 200, (("a", "b X: \x1b[2J\xff"),)),
        (b"RTSP/1.0 401 No\r\nW: 1\r\nw: 2", 401, (("w", "1"), ("w", "2"))),
        (b"ANNOUNCE rtsp://x/y RTSP/1.0\r\nCSeq: 7", None, (("cseq", "7"),)),
    ],
)
def test_headers_as_cameras_write_them(
    head: bytes, code: int | None, headers: tuple[tuple[str, str], ...]
) -> None:
    message = parse_header(head)
    assert (message.status, message.headers) == (code, headers)


def test_a_head_of_short_lines_and_empty_lines_before_it() -> None:
    items, rest = taken(b"\r\n\n" + answer().replace(b"\r\n", b"\n") + b"\r\n")
    assert [item.status for item in items if isinstance(item, Message)] == [200] and rest == b""


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01",
        b"SSH-2.0-x\r\n",
        b"RTSP/2.0 200 OK\r\n\r\n",
        b"RTSP/1.0 OK\r\n\r\n",
        b"HELLO you there\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: many\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_not_rtsp(data: bytes) -> None:
    with pytest.raises(UnsupportedStreamError):
        taken(data)


@pytest.mark.parametrize(
    "data",
    [
        b"RTSP/1.0 200 OK\r\nX: " + b"a" * MAX_HEADER,
        b"RTSP/1.0 200 OK\r\nX: " + b"a" * MAX_HEADER + b"\r\n\r\n",
        b"OPTIONS " + b"a" * MAX_HEADER,
        f"RTSP/1.0 200 OK\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode(),
        b"RTSP/1.0 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
    ],
)
def test_what_is_too_long(data: bytes) -> None:
    with pytest.raises(CameraError, match="is too long or never ends"):
        taken(data)


def test_the_greatest_answer_is_taken() -> None:
    (message,), _ = taken(answer(b"a" * MAX_BODY), [100, 70_000])
    assert isinstance(message, Message) and len(message.body) == MAX_BODY


_items = st.one_of(
    st.builds(frame, st.binary(max_size=40), st.integers(0, 255)),
    st.builds(answer, st.binary(max_size=40)),
    st.just(b"GET_PARAMETER rtsp://x/ RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 2\r\n\r\n$$"),
)


@given(st.lists(_items, max_size=8), st.lists(st.integers(0, 600), max_size=30))
def test_however_the_bytes_are_cut_the_same_comes_out(items: list[bytes], cuts: list[int]) -> None:
    whole = [taken(item)[0][0] for item in items]
    assert taken(b"".join(items), cuts) == (whole, b"")


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_random_bytes_are_refused_or_incomplete(data: bytes, cuts: list[int]) -> None:
    for begin in (b"", b"$", b"RTSP/1.0 200 OK\r\n", b"RTSP/1.0 401 \r\nContent-Length: 3\r\n\r\n"):
        try:
            items, rest = taken(begin + data, cuts)
        except (UnsupportedStreamError, CameraError):
            continue
        frames = sum(len(item) for item in items if isinstance(item, bytes))
        assert frames + len(rest) <= len(begin + data)


def test_a_request() -> None:
    message = encode_request("SETUP", "rtsp://x/y", 3, (("Session", "7"),))
    assert (
        message
        == b"SETUP rtsp://x/y RTSP/1.0\r\nCSeq: 3\r\nUser-Agent: Vigil\r\nSession: 7\r\n\r\n"
    )


def test_an_address_breaks_no_line() -> None:
    odd = "rtsp://x/a b\r\nX: 1/\u00fc?q=1&r=%20"
    assert encode_url(odd) == "rtsp://x/a%20b%0D%0AX:%201/%C3%BC?q=1&r=%20"
