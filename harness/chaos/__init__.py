"""Everything fails at once: synthetic cameras, planned faults, invariants afterwards."""
