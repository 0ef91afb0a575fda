"""The child process that decodes pictures: `python -m inference.picture_process`.

It decodes bytes that a stranger may have made, so it holds no secret, and its memory is limited.

    standard input    most width, most height, length, JPEG or PNG    one request after the other
    standard output   ok, width, height of the picture, width, height sent, BGR or the reason
"""

import os
import struct
import sys
from typing import BinaryIO

MAX_PIXELS = 50_000_000
"""Of one picture: 8K has 33 million."""
REQUEST = struct.Struct(">III")
ANSWER = struct.Struct(">?IIIII")
"""Whether it is a picture, its width and height, those that are sent, and how many bytes follow."""
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        width, height, length = REQUEST.unpack(head)
        answers.write(_answer(requests.read(length), width, height))
        answers.flush()


def _answer(data: bytes, max_width: int, max_height: int) -> bytes:
    import cv2  # noqa: PLC0415 - after its limit was set
    import numpy as np  # noqa: PLC0415

    if not data.startswith(_SIGNATURES):
        return _refusal("It is neither a JPEG nor a PNG.")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError):
        picture = None
    if picture is None:
        return _refusal(f"It cannot be decoded, or has more than {MAX_PIXELS:,} pixels.")
    height, width = picture.shape[:2]
    scale = min(1.0, max_width / width, max_height / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    head = ANSWER.pack(True, width, height, *size, picture.nbytes)
    return head + picture.tobytes()


def _refusal(why: str) -> bytes:
    text = why.encode()
    return ANSWER.pack(False, 0, 0, 0, 0, len(text)) + text


def main() -> None:
    """Serve standard input."""
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(MAX_PIXELS)
    # OpenCV reads the limit when it is imported.
    from media.picture_process import confine  # noqa: PLC0415

    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
