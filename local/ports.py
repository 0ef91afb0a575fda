"""The ports of a data folder: found free, or configured."""

import contextlib
import random
import socket
from collections.abc import Collection, Mapping

from domain.errors import ConfigError, VigilError
from local.folder import DataFolder

HOST = "127.0.0.1"
# Below the range of ephemeral ports for outgoing connections: so the port of a service that is
# down for a moment stays free.
RANGE = range(20_000, 32_000)
_FILE = "ports.json"


class Ports:
    """Ports by service name, remembered in `ports.json`."""

    def __init__(self, folder: DataFolder, configured: Mapping[str, int] | None = None) -> None:
        self._folder = folder
        self._configured = dict(configured or {})
        self._taken: dict[str, int] = {}

    def take(self, name: str) -> int:
        """Return the port for a service that is about to start, free at this moment.

        Raises VigilError if a configured port is in use, or one that this process gave before.
        A remembered port that is in use is replaced.
        """
        remembered = self._folder.read_json(_FILE)
        port = self._configured.get(name, self._taken.get(name))
        if port is not None:
            if not is_free(port):
                raise VigilError(
                    f"Port {port} of {name} is in use by another program. Stop that program, or "
                    f"configure another port with --port {name}=NUMBER."
                )
        else:
            port = remembered.get(name)
            if not isinstance(port, int) or not is_free(port):
                port = find_free(avoid=set(remembered.values()) | set(self._configured.values()))
        self._taken[name] = port
        if remembered.get(name) != port:
            self._folder.write_json(_FILE, {**remembered, name: port})
        return port


def parse_ports(texts: list[str]) -> dict[str, int]:
    """Read `NAME=NUMBER` texts; raises ConfigError if one has another form."""
    ports = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not name or not number.isdecimal() or not 1 <= int(number) <= 65_535:
            raise ConfigError(f"--port {text}: write NAME=NUMBER, for example kafka=9092.")
        ports[name] = int(number)
    return ports


def is_free(port: int) -> bool:
    """Return whether a server could listen on the loopback port now."""
    with contextlib.closing(socket.socket()) as probe:
        # As servers do: connections of an earlier server in TIME_WAIT do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def find_free(avoid: Collection[int] = ()) -> int:
    """Return a free loopback port that is not in `avoid`."""
    for port in random.SystemRandom().sample(RANGE, 500):
        if port not in avoid and is_free(port):
            return port
    raise VigilError(f"No free port between {RANGE.start} and {RANGE.stop}. Stop some programs.")
