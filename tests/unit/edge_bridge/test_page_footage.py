"""What the edge's page plays of a camera with few keyframes."""

import hashlib
import io
from pathlib import Path

import av
import cv2
import numpy as np

from edge_bridge.config.spool import SpoolLimits
from edge_bridge.page.footage import SpoolFootage
from edge_bridge.spool.spool import open_spool
from media.fragmenter import Fragmenter, FragmentLimits
from tests.footage import read_number, write_clip
from tests.unit.edge_bridge.material import CAMERA, T0_MS, fragment, started


def test_a_clip_begins_at_the_keyframe_before(tmp_path: Path) -> None:
    """A keyframe each 5 s, fragments of 2 s: K . . K . . K"""
    clip = write_clip(tmp_path / "clip.mp4", 300, gop=125)
    with av.open(str(clip)) as source:
        limits = FragmentLimits(target_ms=1_000, max_ms=2_000)
        fragmenter = Fragmenter(source.streams.video[0], None, limits)
        made = [each for p in source.demux(video=0) for each in fragmenter.push(p, 0)]
        made += fragmenter.finish()
    spool = open_spool(tmp_path, "e1", SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0))
    for each in made:
        event = fragment(each.seq)[0].model_copy(
            update={
                "start_ms": T0_MS + (each.start_pts - made[0].start_pts) // 90,
                "duration_ms": (each.end_pts - each.start_pts) // 90,
                "start_pts": each.start_pts,
                "frames": each.frames,
                "size_bytes": len(each.data),
                "sha256": hashlib.sha256(each.data).hexdigest(),
                "keyframes": list(each.keyframes),
            }
        )
        assert spool.store(event, each.data, started())
    footage = SpoolFootage(tmp_path)
    for at_s, first_seq, number in ((0, 0, 0), (1, 0, 0), (3, 0, 0), (5, 3, 125), (9, 3, 125)):
        found = footage.clip(CAMERA, T0_MS + at_s * 1_000, 2_000)
        assert found[0].seq == first_seq, at_s
        with av.open(io.BytesIO(b"".join(footage.play(found)))) as played:
            frame = next(played.decode(video=0))
            assert read_number(frame.to_ndarray(format="gray")) == number
    picture = footage.thumbnail(footage.clip(CAMERA, T0_MS + 9_000, 10)[-1], 192)
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None and read_number(image.astype(np.uint8)) == 125
    spool.close()
