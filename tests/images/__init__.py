"""Tests of the container images: `make images`, then `make test-images`."""
