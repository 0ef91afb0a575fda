"""/api/v1/cost: what the installation costs a month by list prices, and what a change would cost.

It is computed of the installation's own cameras, footage and rules (domain/cost/measured.py), with
what the query gives in their place. Nothing is saved. The numbers are those of `vigil cost`.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.cost.bill import PURPOSES, Bill, bill
from domain.cost.levers import SUB_MBIT_S, levers
from domain.cost.measured import Measured, Source, measured
from domain.cost.prices import NOTE, REGIONS, WRITTEN, prices_of
from domain.cost.workload import PLATFORMS, Workload
from stores.catalog.footage_days import RECENT_DAYS, recorded_of_cameras
from streams.cost_settings import with_settings
from web.access import on_installation
from web.bodies import NO_STORE, json_answer, parse_query
from web.operations import Operation, describe
from web.schemas.cost import (
    CostEstimate,
    CostInputs,
    CostLever,
    CostLine,
    CostQuery,
    Environment,
    InputName,
    InputSource,
    PurposeCost,
    Region,
    ServiceCost,
)
from web.services import SERVICES, Services

USUAL_REGION = "us-east-1"
_WORKLOAD = tuple(name for name in get_args(InputName) if name not in {"environment", "region"})
"""Inputs that are fields of the workload."""


class CostView(View):
    """The bill of a month."""

    view_path = "/api/v1/cost"
    access = on_installation(Permission.METRICS_READ)
    operations = describe(
        get=Operation(
            "Get what the installation costs",
            description="A month on AWS by list prices, which are mostly from memory: compare them "
            "before you decide. It reads no bill. Inputs that are given replace those of the "
            "installation; nothing is saved.",
            answer=CostEstimate,
            query=CostQuery,
            tag="Installation",
        )
    )

    async def get(self, request: web.Request) -> web.Response:
        """Return the bill of the installation with the given inputs."""
        services = request.app[SERVICES]
        query = parse_query(request, CostQuery)
        own = await own_workload(services)
        given = query.model_dump(exclude_none=True)
        async with services.estimates:  # a quarter of a second of one core
            cost = await asyncio.to_thread(cost_of, own, services.settings.aws_region, given)
        return json_answer(cost, headers=NO_STORE)


async def own_workload(services: Services) -> Measured:
    """Return the installation's workload, as far as catalog and settings know it."""
    catalog = await services.catalog.get()
    cameras = await recorded_of_cameras(catalog, services.clock_ms())
    return measured(with_settings(Workload(), services.settings), cameras, RECENT_DAYS)


def cost_of(own: Measured, own_region: str, given: Mapping[str, Any]) -> CostEstimate:
    """Return the bill of an installation with the given inputs. `own_region`: of the settings."""
    sources: dict[str, Source] = dict(own.sources)
    notes = list(own.notes)
    region = own_region if own_region in REGIONS else USUAL_REGION
    if own_region in REGIONS:
        sources["region"] = "setting"
    else:
        notes.append(f"There are no prices of {own_region[:60]}: those of {region} are used.")
    own_inputs = _inputs(own.workload, "production", region)
    sources |= dict.fromkeys(given, "given")
    workload = replace(
        own.workload,
        platform=PLATFORMS[given.get("environment", "production")],
        **{name: given[name] for name in _WORKLOAD if name in given},
    )
    now = bill(own.workload, prices_of(region))
    made = bill(workload, prices_of(given.get("region", region))) if given else now
    inputs = _inputs(workload, given.get("environment", "production"), made.prices.region)
    return CostEstimate(
        inputs=inputs,
        own=own_inputs,
        sources=[
            InputSource(name=name, source=sources.get(name, "assumed"))
            for name in get_args(InputName)
        ],
        notes=notes,
        cameras=workload.cameras,
        usd=round(made.usd, 2),
        own_usd=round(now.usd, 2),
        fixed_usd=round(made.by_scale("installation"), 2),
        variable_usd=round(made.usd - made.by_scale("installation"), 2),
        per_site_usd=round(made.per_site, 2),
        per_camera_usd=round(made.per_camera, 2),
        services=_services(made),
        purposes=[
            PurposeCost(purpose=name, text=text, usd=round(made.by_purpose(name), 2))
            for name, text in PURPOSES.items()
        ],
        added_share=round(made.added_share, 4),
        kinesis_video_usd=round(made.kinesis_video_usd, 2),
        comparable_usd=round(made.by_purpose("storage") + made.by_purpose("added"), 2),
        lines=[
            CostLine(
                service=line.service,
                what=line.what,
                scale=line.scale,
                purpose=line.purpose,
                amount=round(line.amount, 3),
                unit=line.unit,
                usd=round(line.usd, 2),
            )
            for line in made.lines
        ],
        levers=[
            CostLever(
                name=each.name,
                change=each.change,
                effect=each.effect,
                available=each.available,
                saves_usd=round(each.saves_usd, 2),
                saves_share=round(each.saves_share, 4),
            )
            for each in levers(made)
        ],
        sub_stream_mbit_s=SUB_MBIT_S,
        prices_written=WRITTEN,
        prices_note=NOTE,
        regions=list(get_args(Region)),
    )


def _inputs(workload: Workload, environment: str, region: str) -> CostInputs:
    values = {name: getattr(workload, name) for name in _WORKLOAD}
    return CostInputs(
        **values, environment=cast(Environment, environment), region=cast(Region, region)
    )


def _services(made: Bill) -> list[ServiceCost]:
    """Return the services, the dearest first, each by what it follows from."""
    found = []
    for service, usd in made.services().items():
        lines = [line for line in made.lines if line.service == service]
        by_scale = {
            scale: round(sum(line.usd for line in lines if line.scale == scale), 2)
            for scale in ("installation", "site", "camera")
        }
        found.append(
            ServiceCost(
                service=service,
                usd=round(usd, 2),
                fixed_usd=by_scale["installation"],
                sites_usd=by_scale["site"],
                cameras_usd=by_scale["camera"],
            )
        )
    return found
