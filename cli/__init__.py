"""The vigil command, thin."""
