"""Replay: the past once more, beside the live workers, without doubling anything."""
