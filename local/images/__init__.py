"""Builds the container images of the project: `make images`, `make bases`, `make sbom`."""
