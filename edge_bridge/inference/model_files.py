"""Whether the model's files are still those that were loaded."""

from pathlib import Path

from domain.errors import ModelError
from edge_bridge.config.inference import HOG
from vision.card import CARD_SUFFIXES, ModelCard

Fingerprint = tuple[tuple[str, int, int, int], ...]


def fingerprint(model: str) -> Fingerprint:
    """Return path, size, time and inode of the card and of the files it names, those there are."""
    if model == HOG:
        return ()
    return tuple(one for path in _files(Path(model)) if (one := _print(path)) is not None)


def _files(path: Path) -> list[Path]:
    files = [path]
    if path.suffix == ".onnx":
        files += [path.with_suffix(suffix) for suffix in CARD_SUFFIXES]
    for card in [one for one in files if one.suffix in CARD_SUFFIXES and one.is_file()]:
        try:
            loaded = ModelCard.load(card)
        except ModelError:
            continue  # whoever loads it says what is wrong
        files.append(loaded.path)
        if isinstance(loaded.labels, str):
            files.append(card.parent / loaded.labels)
    return files


def _print(path: Path) -> tuple[str, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_size, found.st_mtime_ns, found.st_ino
