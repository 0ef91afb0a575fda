"""What needs minutes, packages of its own and network namespaces: `make lab`."""
