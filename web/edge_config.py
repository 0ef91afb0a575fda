"""/api/v1/sites/{tenant}/{site}/config and signed-config: a site's configuration, for its edge."""

import base64
import hashlib
from http import HTTPStatus

from aiohttp import web
from faust.web import View

from domain.access import Permission
from domain.site_config import OfferedConfig
from stores.catalog.site_configs import get_config_for_edge, get_offer
from web.access import on_site
from web.bodies import json_answer
from web.middleware import EDGE_CONFIG_PATH
from web.operations import Operation, describe
from web.problems import not_found
from web.schemas.edges import (
    ConfigKeySuccessor,
    SignedSiteConfig,
    SiteConfig,
    SiteConfigSignature,
)
from web.services import SERVICES


class EdgeConfigView(View):
    """A site's newest configuration."""

    view_path = EDGE_CONFIG_PATH
    access = on_site(Permission.SITE_CONFIG_READ)
    operations = describe(
        get=Operation(
            "Get the newest configuration of a site",
            description="For its edge devices. A foreign site answers 403, and 404 means that no "
            "configuration is set.",
            answer=SiteConfig,
            others={304: "`If-None-Match` names the newest one."},
            headers={"If-None-Match": "The `ETag` of the configuration that the device has."},
            answer_headers={"ETag": "Names this version."},
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the configuration without the disabled cameras.

        304: the edge has it, 404: none is set.
        """
        site = "{tenant}/{site}".format(**request.match_info)
        services = request.app[SERVICES]
        found = await get_config_for_edge(await services.catalog.get(), site)
        if found is None:
            raise not_found(f"No configuration is set for {site}.")
        tag = f"{found.version}-{found.digest[:32]}"
        headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
        known = request.if_none_match or ()
        if any(each.value == tag for each in known):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        answer = SiteConfig(version=found.version, digest=found.digest, document=found.text)
        return json_answer(answer, headers=headers)


class SignedEdgeConfigView(View):
    """A site's newest configuration with its signature."""

    view_path = "/api/v1/sites/{tenant}/{site}/signed-config"
    access = on_site(Permission.SITE_CONFIG_READ)
    operations = describe(
        get=Operation(
            "Get the newest configuration of a site with its signature",
            description="For its edge devices that pin a configuration key. A foreign site answers "
            "403, and 404 means that no configuration is set.",
            answer=SignedSiteConfig,
            others={304: "`If-None-Match` names the newest one."},
            headers={"If-None-Match": "The `ETag` of the configuration that the device has."},
            answer_headers={"ETag": "Names this version, and the cameras that are disabled."},
        )
    )

    async def get(self, request: web.Request, **_path: str) -> web.Response:
        """Return the configuration as it was signed. 304: the edge has it, 404: none is set."""
        site = "{tenant}/{site}".format(**request.match_info)
        offer = await get_offer(await request.app[SERVICES].catalog.get(), site)
        if offer is None:
            raise not_found(f"No configuration is set for {site}.")
        return offer_answer(request, offer)


def offer_answer(request: web.Request, offer: OfferedConfig) -> web.Response:
    """Return the answer with a signed configuration; 304 where the edge has it."""
    version, signature = offer.version, offer.signature
    answer = SignedSiteConfig(
        version=version.version,
        digest=version.digest,
        document=version.text,
        signature=None
        if signature is None
        else SiteConfigSignature(
            key=signature.key,
            not_before_ms=signature.not_before_ms,
            value=_base64(signature.value),
        ),
        disabled=sorted(offer.disabled),
        successors=[
            ConfigKeySuccessor(
                public_key=_base64(one.public_key),
                signed_by=one.signed_by,
                value=_base64(one.value),
            )
            for one in offer.successors
        ],
    )
    tag = hashlib.sha256(answer.model_dump_json().encode()).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache"}
    if any(each.value == tag for each in request.if_none_match or ()):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return json_answer(answer, headers=headers)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
