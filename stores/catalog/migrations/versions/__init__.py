"""One file for each step, its SQL next to it under the same name."""
