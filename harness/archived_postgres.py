"""A PostgreSQL that archives its WAL, so that it can be restored to a point in time."""

import os
import shutil
import subprocess
from pathlib import Path

import asyncpg

from local.folder import DataFolder
from local.ports import HOST, Ports
from local.postgres import DATABASE, USER, Postgres, _binaries, _chown, _unprivileged
from local.service import ask

_ARCHIVE = """\
wal_level = replica
archive_mode = on
archive_command = 'cp %p {archive}/%f'
"""
_RECOVER = """\
restore_command = 'cp {archive}/%f %p'
recovery_target_time = '{target}'
recovery_target_action = promote
"""


class ArchivedPostgres(Postgres):
    """As RDS does: a base backup, and all WAL since then. Its methods block."""

    def __init__(self, folder: Path) -> None:
        data = DataFolder(folder)
        data.open(fresh=True)
        super().__init__(data, Ports(data), lambda _: None)
        self._recover = ""
        self._archive = folder / "archive"
        self._backup = folder / "backup"
        for path in (self._archive, self._backup):
            path.mkdir()
            if os.geteuid() == 0:
                os.chown(path, *_unprivileged())

    def prepare(self) -> None:
        """Write the archive's configuration too."""
        super().prepare()
        with (self._cluster / "postgresql.auto.conf").open("a") as file:
            file.write(_ARCHIVE.format(archive=self._archive) + self._recover)

    def back_up(self) -> None:
        """Make a base backup."""
        port = self.address.rpartition(":")[2]
        command = [
            str(_binaries() / "pg_basebackup"), "--host", HOST, "--port", port, "--username", USER,
            "--pgdata", str(self._backup), "--wal-method", "none", "--checkpoint", "fast",
        ]  # fmt: skip
        subprocess.run(self._as_user(command), check=True, capture_output=True, cwd="/")

    def restore(self, target: str) -> None:
        """Go back to a time (as PostgreSQL writes it), and wait until writes are accepted."""
        ask(self._switch_wal)
        self.process.stop()
        shutil.rmtree(self._cluster)
        shutil.copytree(self._backup, self._cluster)
        (self._cluster / "recovery.signal").touch()
        _chown(self._cluster)
        self._recover = _RECOVER.format(archive=self._archive, target=target)
        self.launch()
        self.process.wait_ready(self._is_open, self.ready_within_s)
        self._recover = ""

    async def _switch_wal(self) -> None:
        connection = await self._connect()
        await connection.execute("SELECT pg_switch_wal()")
        await connection.close()

    def _is_open(self) -> bool:
        return ask(self._asked) is True

    async def _asked(self) -> bool:
        connection = await self._connect()
        try:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        port = int(self.address.rpartition(":")[2])
        return await asyncpg.connect(
            host=HOST, port=port, user=USER, database=DATABASE, ssl=False, timeout=5
        )

    def close(self) -> None:
        """Stop it."""
        self.process.stop()
        self.folder.close()
