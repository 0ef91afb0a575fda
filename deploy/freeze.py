"""Close an environment for releases and open it again: `make freeze`, `make unfreeze`.

A release that goes back is not stopped: that happens inside the stage.
"""

import json
import os
import sys

from deploy.install import ENVIRONMENTS, PIPELINE
from deploy.tools import DeliveryError, report, required, run


def set_freeze(environment: str, reason: str) -> None:
    """Close the way into an environment; an empty reason opens it."""
    environments = json.loads(ENVIRONMENTS.read_text())
    if environment not in environments:
        raise DeliveryError(f"There is no environment {environment!r}: {', '.join(environments)}.")
    # Before the approval: no person is asked for what cannot be installed.
    stage = f"{environment}-approval" if environments[environment]["approval"] else environment
    where = ("--pipeline-name", PIPELINE, "--stage-name", stage, "--transition-type", "Inbound")
    if reason:
        run("aws", "codepipeline", "disable-stage-transition", *where, "--reason", reason)
    else:
        run("aws", "codepipeline", "enable-stage-transition", *where)


def main() -> int:
    """`freeze` with ENV and REASON, or `unfreeze` with ENV."""
    command, environment = sys.argv[1], os.environ.get("ENV", "")
    reason = os.environ.get("REASON", "") if command == "freeze" else ""
    try:
        required({"ENV": environment} | ({"REASON": reason} if command == "freeze" else {}))
        set_freeze(environment, reason)
    except DeliveryError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    now = f"gets no release: {reason}" if reason else "gets releases again"
    report(f"{command}: {environment} {now}", [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
