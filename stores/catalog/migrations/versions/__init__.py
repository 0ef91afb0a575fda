"""One file a step, its SQL beside it under the same name."""
