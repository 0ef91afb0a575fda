"""Whether the model's files are still those that were loaded."""

from pathlib import Path

from domain.errors import ModelError
from edge_bridge.config.inference import HOG
from vision.card import CARD_SUFFIXES, ModelCard

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""Path, size, modification time and inode of each file."""


def fingerprint(model: str) -> Fingerprint:
    """Return the fingerprint of the card and the files it names; missing files are left out."""
    if model == HOG:
        return ()
    return tuple(one for path in _files(Path(model)) if (one := _stat(path)) is not None)


def _files(path: Path) -> list[Path]:
    files = [path]
    if path.suffix == ".onnx":
        files += [path.with_suffix(suffix) for suffix in CARD_SUFFIXES]
    for card_path in [one for one in files if one.suffix in CARD_SUFFIXES and one.is_file()]:
        try:
            card = ModelCard.load(card_path)
        except ModelError:
            continue  # the worker that loads it reports what is wrong
        files.append(card.path)
        if isinstance(card.labels, str):
            files.append(card_path.parent / card.labels)
    return files


def _stat(path: Path) -> tuple[str, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino
