"""Who signed an event, and whether its site believes it."""
