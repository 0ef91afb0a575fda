"""What goes wrong in a chaos run: the planned faults, each done and undone."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from harness.chaos.fault_plan import Planned
from harness.fault_proxy import FAULTS, FaultProxy
from harness.workers import Workers
from local.stack import Stack


class Breaker:
    """Does planned faults to workers, services and the way to S3; counts what it did."""

    def __init__(
        self,
        stack: Stack,
        workers: Workers,
        proxy: FaultProxy,
        *,
        wipe: bool,
        say: Callable[[str], None],
    ) -> None:
        """`wipe`: an assembler that is killed loses its tables' folder too."""
        self._stack, self._workers, self._proxy = stack, workers, proxy
        self._wipe, self._say = wipe, say
        self._busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.done: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """How many workers were killed."""
        return self.done["kill"]

    async def run(self, planned: Sequence[Planned]) -> None:
        """Do all of them, each at its time from now; return once everything runs again."""
        began_s = time.monotonic()
        running = []
        for fault in planned:
            await asyncio.sleep(max(0.0, began_s + fault.at_s - time.monotonic()))
            self._say(str(fault))
            running.append(asyncio.create_task(self._do(fault)))
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _do(self, fault: Planned) -> None:
        lock = self._busy[fault.target]
        if lock.locked():
            self._say(f"         {fault.target} has not recovered yet: no new fault")
            return
        async with lock:
            await self._do_now(fault)

    async def _do_now(self, fault: Planned) -> None:
        self.done[fault.kind if fault.kind != "s3" else f"s3 {fault.how}"] += 1
        match fault.kind:
            case "kill":
                wipe = self._wipe and fault.target.startswith("assemble")
                await self._workers.kill(fault.target, wipe=wipe)
                await asyncio.sleep(fault.for_s)
                await self._workers.start(fault.target)
            case "stall":
                if (pid := self._workers.pid(fault.target)) is not None:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGSTOP)
                        await asyncio.sleep(fault.for_s)
                        os.kill(pid, signal.SIGCONT)
            case "stop":
                process = self._stack.services[fault.target].process
                end = process.kill if fault.how == "SIGKILL" else process.stop
                await asyncio.to_thread(end)
                await asyncio.sleep(fault.for_s)
                await asyncio.to_thread(self._stack.restart, fault.target)
            case "s3":
                how = next(each for each in FAULTS if each == fault.how)
                self._proxy.begin(how, 0.5 if fault.for_s > 8 else 1.0)
                await asyncio.sleep(fault.for_s)
                self._proxy.end()
