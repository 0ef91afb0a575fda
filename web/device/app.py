"""The devices' own address: `faust -A web.device.app worker`.

It speaks TLS 1.3 only, and checks the certificates of devices. People use another address, web.app.
The views have no consumer group: any number of workers run in parallel.
"""

import sys

from domain.errors import ConfigError
from streams.app import make_app
from streams.settings import get_settings
from web.device.views import serve

try:
    _settings = get_settings()
    app = make_app("device", web=True, at=(_settings.device_host, _settings.device_port))
    app.producer_only = True
    services = serve(app, _settings, lambda: app.ready)
except ConfigError as error:
    sys.exit(f"device: {error}")
