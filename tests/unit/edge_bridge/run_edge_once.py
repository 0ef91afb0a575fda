"""Starts an edge as the command does, stops it, and prints its modules (test_imports.py)."""

import asyncio
import json
import sys
from pathlib import Path

import cli.edge  # noqa: F401 - the command imports it
from edge_bridge import logs  # noqa: F401 - as above
from edge_bridge.config import load
from edge_bridge.edge import Edge


async def main() -> None:
    """Run the edge until it is ready."""
    edge = Edge(load(Path(sys.argv[1])))
    await asyncio.wait_for(edge.run(edge.stop), 60)


if __name__ == "__main__":
    asyncio.run(main())
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
