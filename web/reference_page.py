"""The page of the API: HTML from the OpenAPI document, without scripts of other servers."""

import re
from collections.abc import Iterator
from functools import lru_cache
from html import escape
from http import HTTPStatus
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from web.openapi import OPENAPI_PATH, ApiDocument
from web.problem_kinds import KINDS, ProblemKind
from web.schema_text import constraints, schema_rows, type_text

STYLE = (Path(__file__).parent / "reference.css").read_text(encoding="utf-8")
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_FILE_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\.md[^)]*\)")
"""A link to a file of the documentation, which this server does not have."""

JsonObject = dict[str, Any]


@lru_cache(maxsize=1)
def reference_page(document: ApiDocument) -> str:
    """Return the page of the whole API."""
    fields = document.fields
    tags = [each["name"] for each in fields["tags"]]
    by_tag: dict[str, list[tuple[str, str, JsonObject, JsonObject]]] = {tag: [] for tag in tags}
    for path, item in fields["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                by_tag[operation["tags"][0]].append((method, path, operation, item))
    menu = "".join(
        f'<li><a href="#{_anchor(tag)}">{escape(tag)}</a><ul>'
        + "".join(
            f'<li><a href="#{operation["operationId"]}">{escape(operation["summary"])}</a></li>'
            for _, _, operation, _ in by_tag[tag]
        )
        + "</ul></li>"
        for tag in tags
    )
    chapters = "".join(
        f'<section id="{_anchor(tag["name"])}"><h2>{escape(tag["name"])}</h2>'
        f"{_text(tag.get('description', ''))}"
        + "".join(_operation(*each) for each in by_tag[tag["name"]])
        + "</section>"
        for tag in fields["tags"]
    )
    schemas = "".join(
        _schema(name, schema) for name, schema in fields["components"]["schemas"].items()
    )
    problems = "".join(
        f'<tr><td><a href="{kind.uri}"><code>{kind.name}</code></a></td><td>{kind.status}</td>'
        f"<td>{_inline(kind.remedy)}</td></tr>"
        for kind in KINDS
    )
    info = fields["info"]
    navigation = (
        '<nav aria-label="Chapters">'
        f'<p class="brand"><a href="/">Vigil</a> API <small>{escape(info["version"])}</small></p>'
        f'<p><a href="{OPENAPI_PATH}">openapi.json</a></p>'
        f'<ul>{menu}<li><a href="#types">Types</a></li>'
        '<li><a href="#problems">Problems</a></li></ul></nav>'
    )
    problem_table = (
        '<div class="wide"><table>'
        "<thead><tr><th>Type</th><th>Status</th><th>What to do</th></tr></thead>"
        f"<tbody>{problems}</tbody></table></div>"
    )
    main = (
        f"<main><h1>{escape(info['title'])}</h1>{_text(info['description'])}{chapters}"
        f'<section id="types"><h2>Types</h2>{schemas}</section>'
        f'<section id="problems"><h2>Problems</h2>{problem_table}</section></main>'
    )
    return _html(info["title"], navigation + main)


def problem_page(kind: ProblemKind) -> str:
    """Return the page of one kind of problem."""
    phrase = escape(HTTPStatus(kind.status).phrase)
    main = (
        '<main class="alone"><p><a href="/api/v1/docs#problems">All problems</a></p>'
        f"<h1>{escape(kind.title)}</h1>"
        f"<p><code>{kind.uri}</code></p><p>Status {kind.status} {phrase}</p>"
        f"<p>{_inline(kind.remedy)}</p></main>"
    )
    return _html(kind.title, main)


def _html(title: str, body: str) -> str:
    head = (
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="dark light">',
        f"<title>{escape(title)} - Vigil</title>",
        '<link rel="icon" href="/icon.svg" type="image/svg+xml">',
        '<link rel="stylesheet" href="/api/v1/docs/style.css">',
        '<script src="/theme.js"></script>',
    )
    start = f'<!doctype html>\n<html lang="en"><head>{"".join(head)}</head>'
    return f"{start}\n<body>{body}</body></html>\n"


def _operation(method: str, path: str, operation: JsonObject, item: JsonObject) -> str:
    parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
    parts = [
        f'<article id="{operation["operationId"]}"><h3>{escape(operation["summary"])}'
        + (' <span class="old">deprecated</span>' if operation.get("deprecated") else "")
        + "</h3>",
        f'<p class="path"><b class="{method}">{method.upper()}</b> '
        f"<code>{escape(path).replace('/', '/<wbr>')}</code></p>",
        _text(operation.get("description", "")),
    ]
    if parameters:
        rows = "".join(_parameter(each) for each in parameters)
        parts.append(_table("Parameters", ("Name", "Type", "Meaning"), rows))
    if body := operation.get("requestBody"):
        content = body["content"]["application/json"]["schema"]
        parts.append(f'<p class="body">Body: {_type(content)}</p>')
    rows = "".join(_response(*each) for each in operation["responses"].items())
    parts.append(_table("Answers", ("Status", "Body", "When"), rows))
    return "".join(parts) + "</article>"


def _parameter(parameter: JsonObject) -> str:
    needed = ' <span class="needed">required</span>' if parameter.get("required") else ""
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code>{needed}<br>"
        f"<small>{parameter['in']}</small></td><td>{_type(parameter['schema'])}</td>"
        f"<td>{_inline(parameter.get('description', ''))}</td></tr>"
    )


def _response(status: str, response: JsonObject) -> str:
    content = response.get("content", {})
    kinds = [
        _type(media["schema"]) if "$ref" in media.get("schema", {}) else f"<code>{name}</code>"
        for name, media in content.items()
    ]
    headers = "".join(
        f"<br><small><code>{escape(name)}</code>: {_inline(each['description'])}</small>"
        for name, each in response.get("headers", {}).items()
    )
    return (
        f"<tr><td>{status}</td><td>{', '.join(kinds)}</td>"
        f"<td>{_inline(response['description'])}{headers}</td></tr>"
    )


def _schema(name: str, schema: JsonObject) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(row.name)}</code></td><td>{_type(row.schema)}</td>"
        f"<td>{_inline(row.description)}</td></tr>"
        for row in schema_rows(schema)
    )
    return (
        f'<article id="type-{escape(name)}"><h3><code>{escape(name)}</code></h3>'
        f"{_text(schema.get('description', ''))}"
        f"{_table('Fields', ('Field', 'Type', 'Meaning'), rows)}</article>"
    )


def _table(caption: str, heads: tuple[str, ...], rows: str) -> str:
    cells = "".join(f"<th>{head}</th>" for head in heads)
    return (
        f'<div class="wide"><table><caption>{caption}</caption><thead><tr>{cells}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _type(schema: JsonObject) -> str:
    """Return the type with links to the types that it names."""
    text = escape(type_text(schema))
    for name in sorted(set(_names(schema)), key=len, reverse=True):
        text = re.sub(rf"\b{name}\b(?![^<]*>)", f'<a href="#type-{name}">{name}</a>', text)
    more = constraints(schema)
    return f"<code>{text}</code>" + (f"<br><small>{escape(more)}</small>" if more else "")


def _names(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for each in schema.values():
            yield from _names(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _names(each)


def _text(markdown: str) -> str:
    return str(_markdown.render(_FILE_LINK.sub(r"\1", markdown)))


def _inline(markdown: str) -> str:
    return str(_markdown.renderInline(_FILE_LINK.sub(r"\1", markdown)))


def _anchor(tag: str) -> str:
    return re.sub(r"\W+", "-", tag.lower())
