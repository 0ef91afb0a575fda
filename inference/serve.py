"""The inference server as a program: an engine, its detectors, a listening socket."""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.web_runner import BaseSite, TCPSite

from domain.errors import ConfigError
from inference.detection import DetectionModel
from inference.embedded import EmbeddedEngine
from inference.engine import InferenceEngine
from inference.model_files import model_file
from inference.model_host import HostOptions
from inference.model_process import ProcessOptions
from inference.oip_engine import OipEngine
from inference.server import InferenceServer
from inference.settings import InferenceSettings
from stores.http_server import BoundedRunner, ConnectionLimits
from streams.server_certificate import ServerCertificate, tls_site
from vision.card import ModelCard

log = logging.getLogger(__name__)


def make_engine(settings: InferenceSettings, cards: list[ModelCard]) -> InferenceEngine:
    """Return the engine of the settings, not loaded yet; raises ConfigError."""
    if settings.engine == "oip":
        tls = ssl.create_default_context(cafile=settings.oip_ca_file)
        return OipEngine(settings.oip_url, token=settings.oip_token_text, tls=tls)
    providers = settings.provider_names
    on_gpu = bool({"cuda", "tensorrt"} & set(providers))
    runners = settings.runners or (1 if on_gpu else max(1, os.cpu_count() or 1))
    options = HostOptions(
        ProcessOptions(
            providers=providers,
            fallback=settings.fallback,
            runners=runners,
            gpu=settings.gpu(),
        ),
        batch_wait_s=settings.batch_wait_ms / 1_000,
        recycle_mib=settings.recycle_mib,
    )
    return EmbeddedEngine([model_file(card) for card in cards], options)


@asynccontextmanager
async def running_server(settings: InferenceSettings) -> AsyncIterator[int]:
    """Serve inside the block; yields the port. Raises ConfigError, or ModelError of a model."""
    cards = [ModelCard.load(path) for path in settings.cards]
    if not cards:
        raise ConfigError(
            "VIGIL_INFERENCE_MODELS names no card. Name at least one, as docs/how-to/models.md "
            "shows."
        )
    certificate = None
    if settings.tls_certificate_file is not None and settings.tls_key_file is not None:
        certificate = ServerCertificate(
            settings.tls_certificate_file,
            settings.tls_key_file,
            setting="VIGIL_INFERENCE_TLS",
            measured=False,
        )
    engine = make_engine(settings, cards)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(engine.close)
        await engine.load()
        detectors = {card.name: DetectionModel(card, engine) for card in cards}
        for detector in detectors.values():
            await detector.check()
        server = InferenceServer(
            engine,
            detectors,
            token=settings.token_text,
            tenant_pictures_s=settings.tenant_pictures_s,
            max_body_bytes=settings.max_body_mib << 20,
        )
        runner = BoundedRunner(
            server.application(),
            # Few clients, all of them Vigil's own programs: many connections each.
            ConnectionLimits(is_exempt=lambda _: True),
            "vigil",
            cancel_handlers=True,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site: BaseSite
        if certificate is None:
            site = TCPSite(runner, settings.host, settings.port)
        else:
            site = tls_site(runner, settings.host, settings.port, certificate)
            watch = asyncio.create_task(certificate.watch())
            stack.callback(watch.cancel)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"VIGIL_INFERENCE_PORT {settings.port} cannot be used: {error.strerror}. "
                "Choose another."
            ) from error
        port = runner.addresses[0][1]
        log.info("serving %s on %s:%d", ", ".join(detectors), settings.host, port)
        yield port
