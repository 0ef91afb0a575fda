"""A labelled set in COCO's format: pictures, and where each object is.

https://cocodataset.org/#format-data: images, annotations and categories of object detection.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from domain.errors import ModelError

MAX_FILE_BYTES = 512 << 20
MAX_PICTURES = 200_000
_MAX_PIXELS = 65_535


class _CocoPart(BaseModel):
    # Datasets have licences, dates and segmentations: they are not needed here.
    model_config = ConfigDict(extra="ignore", frozen=True)


class _CocoImage(_CocoPart):
    id: int
    file_name: str = Field(min_length=1, max_length=1_000)
    width: int = Field(ge=1, le=_MAX_PIXELS)
    height: int = Field(ge=1, le=_MAX_PIXELS)


class _CocoAnnotation(_CocoPart):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int = Field(0, ge=0, le=1)


class _CocoCategory(_CocoPart):
    id: int
    name: str = Field(min_length=1, max_length=100)


class _CocoFile(_CocoPart):
    images: list[_CocoImage] = Field(min_length=1, max_length=MAX_PICTURES)
    annotations: list[_CocoAnnotation]
    categories: list[_CocoCategory] = Field(min_length=1, max_length=10_000)


@dataclass(frozen=True, slots=True)
class LabelledObject:
    """One object of the truth."""

    label: str
    box: tuple[float, float, float, float]
    """x, y, width, height in pixels, from the picture's top left."""
    crowd: bool = False
    """A group: detections on it count neither as right nor as wrong."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture of the set."""

    path: Path
    width: int
    height: int
    objects: tuple[LabelledObject, ...]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """All pictures, and all labels that the set knows."""

    pictures: tuple[LabelledPicture, ...]
    labels: tuple[str, ...]


def load_coco(file: Path, folder: Path | None = None) -> LabelledSet:
    """Read a set; `folder`: of its pictures, by default the file's. Raises ModelError."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ModelError(f"Dataset {file} is larger than {MAX_FILE_BYTES >> 20} MiB.")
        found = _CocoFile.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ModelError(f"Dataset {file} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ModelError(f"Dataset {file}: {where}: {first['msg']}.") from None
    names = {category.id: category.name for category in found.categories}
    images = {image.id: image for image in found.images}
    objects: dict[int, list[LabelledObject]] = defaultdict(list)
    for number, annotation in enumerate(found.annotations):
        image = images.get(annotation.image_id)
        if image is None or annotation.category_id not in names:
            raise ModelError(
                f"Dataset {file}: annotations.{number} names an image or a category that the file "
                "does not have."
            )
        x, y, width, height = annotation.bbox
        if not (width > 0 and height > 0 and x < image.width and y < image.height):
            raise ModelError(f"Dataset {file}: annotations.{number}: its box is not in its image.")
        label = names[annotation.category_id]
        objects[image.id].append(LabelledObject(label, annotation.bbox, bool(annotation.iscrowd)))
    root = (folder or file.parent).resolve()
    pictures = []
    for image in found.images:
        path = (root / image.file_name).resolve()
        if not path.is_relative_to(root):
            raise ModelError(f"Dataset {file}: {image.file_name} is outside of {root}.")
        pictures.append(LabelledPicture(path, image.width, image.height, tuple(objects[image.id])))
    return LabelledSet(tuple(pictures), tuple(sorted(set(names.values()))))
