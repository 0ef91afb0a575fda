"""The API's own description: the OpenAPI document, a page to read it, and the kinds of problems.

All of it is public: it is the same at every installation, and holds nothing of its customers.
"""

from aiohttp import web
from faust.web import View

from web.access import PUBLIC
from web.openapi import OPENAPI_PATH, ApiDocument
from web.operations import MediaBody, Operation, describe
from web.problem_kinds import BY_NAME, PROBLEMS_PATH
from web.problems import not_found
from web.reference_page import STYLE, problem_page, reference_page

DOCUMENT: web.AppKey[ApiDocument] = web.AppKey("api-document", ApiDocument)
DOCS_PATH = "/api/v1/docs"
_CACHE = {"Cache-Control": "no-cache"}


class OpenApiView(View):
    """The document, for programs."""

    view_path = OPENAPI_PATH
    access = PUBLIC
    operations = describe(
        get=Operation(
            "Get the OpenAPI 3.1 document of this API",
            answer=MediaBody("application/json", "The document."),
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the document."""
        return web.Response(
            body=request.app[DOCUMENT].body, content_type="application/json", headers=_CACHE
        )


class DocsView(View):
    """The document, for people."""

    view_path = DOCS_PATH
    access = PUBLIC
    operations = describe(
        get=Operation(
            "Read this API as a page",
            answer=MediaBody("text/html", "The page.", is_text=True),
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the page."""
        return _page(reference_page(request.app[DOCUMENT]))


class DocsStyleView(View):
    """The style of the pages: a file of its own, so that the policy need not allow it inline."""

    view_path = f"{DOCS_PATH}/style.css"
    access = PUBLIC
    operations = describe(
        get=Operation("Get the style of the page", answer=MediaBody("text/css", "", is_text=True))
    )

    async def get(self, _request: web.Request) -> web.Response:
        """Return the style sheet."""
        return web.Response(text=STYLE, content_type="text/css", headers=_CACHE)


class ProblemKindView(View):
    """A kind of problem: what the `type` of a problem leads to."""

    view_path = f"{PROBLEMS_PATH}/{{name}}"
    access = PUBLIC
    operations = describe(
        get=Operation(
            "Read about a kind of problem",
            description="The `type` of each problem is such an address.",
            answer=MediaBody("text/html", "The page.", is_text=True),
        )
    )

    async def get(self, _request: web.Request, name: str) -> web.Response:
        """Return the page."""
        kind = BY_NAME.get(name)
        if kind is None:
            raise not_found("There is no such kind of problem.")
        return _page(problem_page(kind))


def _page(html: str) -> web.Response:
    return web.Response(text=html, content_type="text/html", headers=_CACHE)
