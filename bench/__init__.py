"""Benchmarks behind vigil bench."""
