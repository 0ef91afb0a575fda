"""The bodies and parameters of the API: one pydantic model for each. Public contract."""
