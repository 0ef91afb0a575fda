"""An update agent that kills itself at one of its steps: a power cut.

python update_agent.py FOLDER STEP KEY

STEP: number of the step, 0: none. FOLDER has answer.json, device and registry. KEY: public key of
releases, hex.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from domain.fleet.messages import DeviceUpdateReport, UpdateAnswer
from edge_bridge.update.agent import AgentTimes, UpdateAgent, UpdateDevice
from harness.process_runtime import ProcessRuntime

TIMES = AgentTimes(gate_s=1.5, steady_s=0.3, check_every_s=0.05, report_every_s=0.2)


class FileCentre:
    """Answers the same to each report, from a file."""

    def __init__(self, file: Path) -> None:
        self._answer = UpdateAnswer.model_validate_json(file.read_text())

    async def exchange(self, _report: DeviceUpdateReport) -> UpdateAnswer:
        return self._answer


async def main() -> None:
    """Run until there is nothing to do at once."""
    folder, cut, key = Path(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3])
    steps = 0

    def at_step(name: str) -> None:
        nonlocal steps
        steps += 1
        if steps == cut:
            print(name, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    agent = UpdateAgent(
        UpdateDevice("x86-64", folder / "device" / "agent", [key]),
        FileCentre(folder / "answer.json"),
        ProcessRuntime(folder / "device", folder / "registry"),
        times=TIMES,
        at_step=at_step,
    )
    await agent.resume()
    while not await agent.step():
        pass


if __name__ == "__main__":
    asyncio.run(main())
