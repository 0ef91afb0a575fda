"""From a picture to the input tensor and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.card import InputSpec
from vision.detector import clip
from vision.preprocess import Preprocessor, place

sizes = st.integers(16, 4096)
RESIZES = [("letterbox", "centre"), ("letterbox", "top-left"), ("stretch", "centre")]


@given(
    st.tuples(sizes, sizes),
    st.tuples(sizes, sizes),
    st.sampled_from(RESIZES),
    st.tuples(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.1, 0.5), st.floats(0.1, 0.5)),
)
def test_a_box_returns_to_its_place_in_the_picture(
    picture: tuple[int, int],
    target: tuple[int, int],
    how: tuple[str, str],
    box: tuple[float, float, float, float],
) -> None:
    width, height = target
    spec = InputSpec.model_validate(
        {"width": width, "height": height, "resize": how[0], "align": how[1]}
    )
    at = place(spec, *picture)
    assert 0 <= at.left <= at.left + at.width <= spec.width
    assert 0 <= at.top <= at.top + at.height <= spec.height
    x, y, w, h = box
    back = at.box(
        at.left + x * at.width,
        at.top + y * at.height,
        at.left + (x + w) * at.width,
        at.top + (y + h) * at.height,
    )
    assert back == pytest.approx(box, abs=3e-6)


@pytest.mark.parametrize(
    ("resize", "align", "expected"),
    [
        # 200 x 100 into 64 x 64: letterboxed it is 64 x 32
        ("letterbox", "centre", (0, 16, 64, 32)),
        ("letterbox", "top-left", (0, 0, 64, 32)),
        ("stretch", "centre", (0, 0, 64, 64)),
    ],
)
def test_where_a_wide_picture_is_placed(
    resize: str, align: str, expected: tuple[int, int, int, int]
) -> None:
    spec = InputSpec.model_validate({"width": 64, "height": 64, "resize": resize, "align": align})
    at = place(spec, 200, 100)
    assert (at.left, at.top, at.width, at.height) == expected


def test_the_bars_are_filled_and_the_picture_is_complete() -> None:
    spec = InputSpec(width=64, height=64, fill=7)
    picture = np.full((100, 200, 3), (10, 20, 30), np.uint8)
    tensor, _ = Preprocessor(spec).to_tensor([picture])
    assert tensor.shape == (1, 3, 64, 64)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    rows = np.asarray(tensor[0, 0, :, 5], np.float32)
    assert rows.tolist() == [7] * 16 + [30] * 32 + [7] * 16  # RGB: red is first


@given(st.tuples(*[st.floats(-3, 4)] * 4))
def test_clipping_keeps_boxes_within_the_picture(
    corners: tuple[float, float, float, float],
) -> None:
    box = clip(*corners)
    if box is not None:
        x, y, w, h = box
        assert 0 <= x <= 1 and 0 <= y <= 1 and w > 0 and h > 0
        assert x + w <= 1 + 1e-9 and y + h <= 1 + 1e-9


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_values_are_scaled_and_ordered_as_the_card_says(layout: str, dtype: str) -> None:
    given_ = {"width": 16, "height": 8, "resize": "stretch", "layout": layout, "dtype": dtype}
    if dtype != "uint8":
        given_ |= {"scale": 1 / 255, "mean": [0.5, 0.1, 0], "std": [0.5, 0.4, 0.5]}
    picture = np.random.default_rng(5).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    tensor, _ = Preprocessor(InputSpec.model_validate(given_)).to_tensor([picture])
    values = picture[..., ::-1].astype(np.float32)
    if dtype != "uint8":
        values = (values / 255 - [0.5, 0.1, 0]) / [0.5, 0.4, 0.5]
    expected = values.transpose(2, 0, 1) if layout == "NCHW" else values
    assert tensor.dtype == dtype
    assert tensor[0] == pytest.approx(expected, abs=2e-3 if dtype == "float16" else 1e-5)


def test_reused_buffers_keep_nothing() -> None:
    """Wide after high: the bars of one must not show in the other."""
    spec = InputSpec(width=64, height=64)
    rng = np.random.default_rng(6)
    pictures = [
        rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        for size in ((40, 100), (100, 40), (64, 64), (40, 100))
    ]
    used = Preprocessor(spec)
    for several in ([pictures[0]], pictures, pictures[1:], [pictures[2]]):
        tensor, placements = used.to_tensor(several)
        assert len(tensor) == len(placements) == len(several)
        for row, picture in zip(tensor, several, strict=True):
            assert (row == Preprocessor(spec).to_tensor([picture])[0][0]).all()
    tensor, placements = used.to_tensor(pictures[:1], min_rows=4)
    assert (len(tensor), len(placements)) == (4, 1)
