"""Small workers for the integration tests; run as `faust -A tests.integration.apps.X worker`."""
