"""What people and programs can ask, over HTTP: `faust -A web.app worker`.

Faust's own pages are off; every address but health and the page itself asks for a key. The views
read no topic: without a consumer group, any number of these workers stand beside each other, and
no rebalance disturbs them.
"""

import sys

from domain.errors import ConfigError
from streams.app import make_app
from streams.settings import get_settings
from web.views import serve

try:
    app = make_app("web", web=True)
    app.producer_only = True
    site = serve(app, get_settings(), lambda: app.started and not app.should_stop)
except ConfigError as error:
    sys.exit(f"web: {error}")
