"""Where a request keeps who sends it."""

from aiohttp import web

from domain.caller import Caller

PRINCIPAL: web.RequestKey[Caller] = web.RequestKey("who", Caller)
"""Who sends a request: a user or an API key, given directly or by its session."""
