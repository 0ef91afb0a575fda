"""S3 and SQS alone, as an edge sees the cloud, and what an edge has left in them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from domain.errors import VigilError
from domain.events import AnyEvent, FragmentArrived, RunEnded, parse
from domain.identity import parse_fragment_key
from local import s3
from local.aws import CREDENTIALS, REGION
from local.folder import DataFolder
from local.ports import Ports
from local.service import Report, Service
from local.sqs import ElasticMq
from stores.message_batch import MAX_BATCH
from stores.objects import ObjectStore
from stores.queue import Queue


class EdgeCloud:
    """The two services in a data folder; a context manager that stops them. Blocking."""

    def __init__(self, data: Path, report: Report) -> None:
        self._folder = DataFolder(data)
        ports = Ports(self._folder)
        self._services: list[Service] = [
            kind(self._folder, ports, report) for kind in (s3.S3Proxy, ElasticMq)
        ]

    def __enter__(self) -> Self:
        self._folder.open(fresh=True)
        try:
            for service in self._services:
                service.launch()
            for service in self._services:
                service.wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for service in self._services:
            service.process.ask_to_stop()
        for service in self._services:
            service.process.stop()
        self._folder.close()

    @property
    def env(self) -> Mapping[str, str]:
        """Settings and credentials by which both are reached."""
        env = {**CREDENTIALS, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        for service in self._services:
            env |= service.settings()
        return env


@dataclass(slots=True)
class StoredRun:
    """What S3 holds of one run."""

    fragments: dict[int, FragmentArrived] = field(default_factory=dict)
    """As the objects' metadata report them."""
    end: RunEnded | None = None


StoredRuns = dict[tuple[str, str], StoredRun]
"""(camera, run) -> what S3 holds of it."""


async def stored_runs(store: ObjectStore, site: str) -> StoredRuns:
    """Return all that an edge of `site` has put into S3."""
    found: StoredRuns = {}
    async for info in store.list(f"fragments/{site}/"):
        parts = info.key.split("/")
        run = found.setdefault(("/".join(parts[1:4]), parts[4]), StoredRun())
        if (named := parse_fragment_key(info.key)) is not None:
            head = await store.head(info.key)
            run.fragments[named.seq] = FragmentArrived.from_metadata(dict(head.metadata))
        elif info.key.endswith("/end.json"):
            run.end = RunEnded.model_validate_json(await store.get(info.key))
    return found


async def drained(queue: Queue) -> list[AnyEvent]:
    """Return and delete all messages of the queue, in the order in which they come."""
    events: list[AnyEvent] = []
    empty = 0
    while empty < 3:
        messages = await queue.receive(max_messages=MAX_BATCH, wait_s=1, visibility_timeout_s=300)
        empty = 0 if messages else empty + 1
        events += [parse(message.body) for message in messages]
        await queue.delete([message.receipt for message in messages])
    return events


def differences(events: list[AnyEvent], stored: StoredRuns) -> list[str]:
    """Compare notices and ends in the queue with what S3 holds; return what differs."""
    noticed = {(e.camera, e.run, e.seq) for e in events if isinstance(e, FragmentArrived)}
    put = {(*run_key, seq) for run_key, run in stored.items() for seq in run.fragments}
    faults = [f"is in S3, never announced: {one}" for one in sorted(put - noticed)]
    faults += [f"noticed, not in S3: {one}" for one in sorted(noticed - put)]
    ends: dict[tuple[str, str], RunEnded] = {}
    for event in events:
        if isinstance(event, RunEnded):
            run_key = (event.camera, event.run)
            if ends.setdefault(run_key, event) != event:
                faults.append(f"two different ends of {run_key}")
    for run_key, run in stored.items():
        if run.end is None:
            faults.append(f"no end of {run_key}")
        elif ends.get(run_key) != run.end:
            faults.append(f"the end of {run_key} in the queue is not the one in S3")
    return faults


def need(env: Mapping[str, str], name: str) -> str:
    """Return a setting of the cloudlet."""
    if name not in env:
        raise VigilError(f"the local services reported no {name}.")
    return env[name]
