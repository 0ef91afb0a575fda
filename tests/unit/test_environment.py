"""The environment: packages that must not come twice."""

import re
from importlib.metadata import distributions

import cv2

OPENCV = re.compile(r"^opencv[-_.](contrib[-_.])?python([-_.]headless)?$", re.I)


def test_exactly_one_opencv_is_installed() -> None:
    """Two of its packages write over each other's `cv2`, silently."""
    owners = sorted(
        name for dist in distributions() if OPENCV.match(name := dist.metadata["Name"] or "")
    )
    assert len(owners) == 1, f"keep one of {owners}: pip uninstall the others"
    owned = next(dist for dist in distributions() if dist.metadata["Name"] == owners[0])
    assert cv2.__version__ in owned.version, "cv2 is not the one that its package brought"


def test_opencv_still_has_the_people_detector() -> None:
    """OpenCV 5 dropped it."""
    assert int(cv2.__version__.split(".")[0]) < 5
    assert hasattr(cv2, "HOGDescriptor")
