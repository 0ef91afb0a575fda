"""Events and pure rules: time, windows, fragments, chunks, identity. No I/O at all."""
