"""Checks of the project's own texts, run by `make check`."""
