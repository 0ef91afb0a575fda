"""Live pictures: a camera's frames as they are recorded, for those who watch now."""
