"""`vigil infer serve`: compute models for others, over HTTP."""

import argparse
import asyncio
import signal


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands of inference."""
    parser = commands.add_parser("infer", help="compute models for others, over HTTP")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    verb = verbs.add_parser(
        "serve",
        help="serve the models of VIGIL_INFERENCE_MODELS until SIGTERM or Ctrl-C",
        description="Serves models by the Open Inference Protocol v2, and pictures to objects. "
        "docs/how-to/inference.md has the settings.",
    )
    verb.set_defaults(run=_serve)


def _serve(_arguments: argparse.Namespace) -> int:
    asyncio.run(_run())
    return 0


async def _run() -> None:
    # Imported here, so that other installations can list the commands without these packages.
    import logging  # noqa: PLC0415

    from inference.serve import running_server  # noqa: PLC0415
    from inference.settings import get_inference_settings  # noqa: PLC0415

    settings = get_inference_settings()
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with running_server(settings) as port:
        print(f"Inference is ready on {settings.host}:{port}.", flush=True)
        await stop.wait()
