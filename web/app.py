"""The HTTP API and the dashboard: `faust -A web.app worker`.

Faust's own pages are off. Every address except the health probes and the dashboard's files needs a
key. The views read no topic, so the worker has no consumer group: any number of workers can run in
parallel, and no rebalance interrupts them.
"""

import sys

from domain.errors import ConfigError
from streams.app import make_app
from streams.settings import get_settings
from web.views import serve

SWITCH_INTERVAL_S = 0.001
"""How long a thread that builds a playlist or a thumbnail may keep the event loop waiting."""

sys.setswitchinterval(SWITCH_INTERVAL_S)
try:
    app = make_app("web", web=True)
    app.producer_only = True
    site = serve(app, get_settings(), lambda: app.ready)
except ConfigError as error:
    sys.exit(f"web: {error}")
