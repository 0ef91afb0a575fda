"""The catalog's SQL, one statement a file, its parameters first; part_*: what several share."""
