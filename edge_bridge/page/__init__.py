"""The edge's own page: live pictures, state and recent footage with no cloud at all."""
