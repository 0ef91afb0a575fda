"""The catalog's SQL, one statement a file, each opening with its parameters."""
