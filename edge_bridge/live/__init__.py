"""Live pictures: a camera's frames as they are recorded, for whoever watches now."""
