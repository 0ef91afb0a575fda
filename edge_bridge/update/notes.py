"""What the update agent remembers over a power cut: one small file, replaced as a whole.

    idle ─► installing ─► checking ─► idle (the new image is `good`)
                 └──────────┴─► returning ─► idle (the old one is)

Each phase is written before it begins. So after a power cut the agent repeats it, and repeating it
does no harm.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.fleet.messages import UpdateProgress

FILE = "update.json"

UpdatePhase = Literal["idle", "installing", "checking", "returning"]


class InstalledImage(BaseModel):
    """An image of the recorder, and the release that it came with."""

    model_config = ConfigDict(frozen=True)

    image: str
    release: int | None = None


class UpdateNotes(BaseModel):
    """The file. All of it is replaced at once."""

    model_config = ConfigDict(frozen=True)

    good: InstalledImage | None = None
    """What passed its health gate last, or was found at the first start."""
    floor: int = 1
    """The largest `oldest` of the releases that ran here."""
    phase: UpdatePhase = "idle"
    trial: InstalledImage | None = None
    """What is being installed; None while idle."""
    trial_oldest: int = 1
    """The `oldest` of its release."""
    cameras_before: int = 0
    """Cameras that recorded before."""
    uploaded_before: bool = False
    """Whether S3 and SQS were reached before."""
    starts: int = 0
    """How often this phase began: after a power cut it begins again."""
    downloads_failed: int = 0
    """In a row."""
    why_returning: str = ""
    update: UpdateProgress | None = None
    """As it is reported."""


class NotesFile:
    """Reads and writes the notes. `save` raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def load(self) -> UpdateNotes:
        """Return the notes; fresh ones where there are none, or where they cannot be read."""
        try:
            return UpdateNotes.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return UpdateNotes()

    def save(self, notes: UpdateNotes) -> None:
        """Replace the file: after a power cut it holds the old notes or these."""
        data = notes.model_dump_json().encode()
        part = self._path.with_suffix(".part")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
