"""The bare arm of `vigil bench api`: aiohttp, asyncpg and the same SQL, nothing else.

No authentication, no tenants, no checks of the query, no log, no metrics.
"""

import argparse
import json
from typing import Any

import asyncpg
from aiohttp import web

from stores.catalog.cameras import RECENT_MS
from stores.catalog.intervals import TOLERANCE_MS
from stores.catalog.pool import sql
from stores.catalog.web_catalog import WebCatalog

POOL: web.AppKey[asyncpg.Pool] = web.AppKey("pool", asyncpg.Pool)
SIZE = 4


async def _init(connection: asyncpg.Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )


async def _row(request: web.Request) -> tuple[str, asyncpg.Record]:
    camera = "{tenant}/{site}/{camera}".format(**request.match_info)
    (row,) = await request.app[POOL].fetch(sql("get_camera"), camera, request.app[NOW])
    return camera, row


NOW: web.AppKey[int] = web.AppKey("now", int)


async def camera(request: web.Request) -> web.Response:
    """Answer one camera."""
    name, row = await _row(request)
    values = (name, request.app[NOW], RECENT_MS)
    labels = await request.app[POOL].fetch(sql("recent_labels"), *values)
    return web.json_response({**row, "labels_recent": [dict(label) for label in labels]})


async def timeline(request: web.Request) -> web.Response:
    """Answer footage and counts of detections of a range that has footage throughout."""
    name, _ = await _row(request)
    pool = request.app[POOL]
    from_ms, to_ms = int(request.query["from"]), int(request.query["to"])
    footage = await pool.fetch(sql("covered"), name, from_ms, to_ms, TOLERANCE_MS)
    await pool.fetch(sql("shown_model_replays"), name, from_ms - 60_000, to_ms + 60_000)
    shown: tuple[object, ...] = (None, None, None, [], [], [])
    bucket_ms = max(1, -(-(to_ms - from_ms) // 600))
    counts = await pool.fetch(sql("detection_buckets"), name, from_ms, to_ms, *shown, bucket_ms)
    body: dict[str, Any] = {
        "from_ms": from_ms,
        "to_ms": to_ms,
        "bucket_ms": bucket_ms,
        "covered": [tuple(row) for row in footage],
        "gaps": [],
        "detections": [
            {"at_ms": row["bucket_ms"], "label": row["label"], "count": row["count"]}
            for row in counts
        ],
    }
    return web.json_response(body)


async def _application(dsn: str, now_ms: int) -> web.Application:
    application = web.Application()
    application[NOW] = now_ms
    application[POOL] = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=SIZE,
        init=_init,
        server_settings={"plan_cache_mode": WebCatalog.plan_cache_mode},
    )
    base = "/api/v1/cameras/{tenant}/{site}/{camera}"
    application.router.add_get(base, camera)
    application.router.add_get(f"{base}/timeline", timeline)
    return application


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("port", type=int)
    parser.add_argument("now_ms", type=int)
    given = parser.parse_args()
    web.run_app(
        _application(given.dsn, given.now_ms),
        host="127.0.0.1",
        port=given.port,
        access_log=None,
        print=None,
    )
