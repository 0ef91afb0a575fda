"""The health gate: what a recorder must do after an update, or the old version returns.

It must record all cameras that recorded before, and upload; or spool, where the cloud is not
reached. All that for STEADY_S without a break: a program that crashes now and then does not pass.
"""

from dataclasses import dataclass

from domain.fleet.messages import RecorderHealth

GATE_S = 300.0
STEADY_S = 30.0


@dataclass(frozen=True, slots=True)
class GateNeeds:
    """What was so before the update."""

    cameras: int
    """Cameras that recorded."""
    uploads: bool
    """Whether it uploaded."""


def gate_fault(
    needs: GateNeeds, health: RecorderHealth | None, *, runs: bool, cloud_answers: bool
) -> str | None:
    """Return what is missing now, in words; None: nothing.

    `runs`: the new image runs. `cloud_answers`: the agent itself reaches the cloud, over the same
    line. If so, a recorder that uploaded before has to upload again.
    """
    if not runs:
        return "the new version does not run"
    if health is None:
        return "the recorder does not answer"
    if health.recording < needs.cameras:
        return f"it records {health.recording} of the {needs.cameras} cameras that recorded before"
    if needs.uploads and cloud_answers and not health.uploads:
        return "it cannot upload, and the cloud is reachable"
    return None
