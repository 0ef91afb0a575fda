"""The stages' module names are public: service units contain `faust -A agents.assemble worker`."""

from pathlib import Path

import agents

STAGES = {"assemble", "heal", "join", "index"}


def test_the_modules_directly_in_agents_are_the_stages() -> None:
    folder = Path(agents.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} == STAGES | {"__init__"}


def test_each_stage_defines_its_faust_app() -> None:
    for stage in STAGES:
        source = Path(agents.__file__).with_name(f"{stage}.py").read_text()
        assert f'\napp = worker_app("{stage}")\n' in source
