"""What people and programs can ask, over HTTP: `faust -A web.app worker --web-port 8080`.

Faust's own pages are off; every address but health and the page itself asks for a key.
"""

from streams.app import make_app
from streams.settings import settings
from web.views import serve

app = make_app("web", web=True)
site = serve(app, settings(), lambda: app.ready)
