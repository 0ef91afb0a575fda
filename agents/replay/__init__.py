"""Replay: process past events or footage again, while the live workers run."""
