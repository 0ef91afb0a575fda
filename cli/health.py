"""`vigil health`: ask the running program of this container for its health."""

import argparse
import http.client
import ssl

from domain.errors import ConfigError
from streams.settings import Settings, get_settings

TIMEOUT_S = 5.0


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = commands.add_parser(
        "health",
        help="ask a running program of the cloud side for its health; exits 0 if healthy",
        description="Asks at VIGIL_METRICS_HOST and VIGIL_METRICS_PORT: workers, the relay, the "
        "web and the repeated commands answer there.",
    )
    parser.add_argument(
        "--ready", action="store_true", help="whether it handles events, not only runs"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the answer; return 0 if it is good, else 1."""
    status, body = ask(get_settings(), "/readyz" if args.ready else "/healthz")
    print(body)
    return 0 if status == http.client.OK else 1


def ask(settings: Settings, path: str) -> tuple[int, str]:
    """Return status and body of a health address; raises ConfigError where nothing answers."""
    if not settings.metrics_port:
        raise ConfigError("VIGIL_METRICS_PORT is 0: set it, so that the program can be asked.")
    host = settings.metrics_host
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
    connection: http.client.HTTPConnection
    if settings.metrics_tls_certificate_file is None:
        connection = http.client.HTTPConnection(host, settings.metrics_port, timeout=TIMEOUT_S)
    else:
        # The certificate is for the name that Prometheus uses. This address is the loopback.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(
            host, settings.metrics_port, timeout=TIMEOUT_S, context=context
        )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise ConfigError(
            f"Nothing answers at {host}:{settings.metrics_port} ({error}): check that the program "
            "runs with the same VIGIL_METRICS_PORT."
        ) from error
    finally:
        connection.close()
