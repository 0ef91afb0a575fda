"""docs/how-to/install.md: what can be run of it is run here, word by word.

Its SQL, on a new PostgreSQL. Its commands: of `vigil` and `make` they exist, with their arguments.
Its charts: Helm renders them with the page's options, and what the page names is there.
"""

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import yaml

from cli.main import group_parser
from domain.times import utc_ms
from local.folder import DataFolder
from local.ports import Ports
from local.postgres import Postgres
from stores.catalog import Catalog, add_camera, migrate
from stores.catalog.row_security import ADMIN, INDEX
from stores.catalog.web_catalog import WebCatalog
from tests.infra.helm import DIGEST, FOLDER, helm, of_kind, render

pytestmark = pytest.mark.infra

PAGE = FOLDER.parent / "docs/how-to/install.md"


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """A server without any of our roles; yields its address, without a user."""
    folder = DataFolder(tmp_path / "data")
    folder.open()
    postgres = Postgres(folder, Ports(folder), lambda *_: None)
    postgres.launch()
    try:
        postgres.wait()
        yield postgres.address
    finally:
        postgres.process.stop()
        folder.close()


def statements() -> tuple[list[str], list[str]]:
    """Return what RDS's user runs, and what vigil_migrate runs after the first migration."""
    found = re.findall(r"^    ((?:CREATE|GRANT) .*;)$", PAGE.read_text(), re.MULTILINE)
    first = [each for each in found if "vigil_migrate" in each]
    return first, [each for each in found if each not in first]


@pytest.mark.asyncio
async def test_each_user_of_the_page_can_do_its_work(server: str) -> None:
    first, then = statements()
    assert len(first) == 3 and len(then) == 4
    owner = await asyncpg.connect(f"postgresql://vigil@{server}/vigil")
    # As RDS's own user: it makes roles, but has not all rights.
    await owner.execute("CREATE ROLE rds_owner LOGIN CREATEROLE CREATEDB")
    await owner.execute("ALTER DATABASE vigil OWNER TO rds_owner")
    await owner.execute("ALTER SCHEMA public OWNER TO rds_owner")
    await owner.close()
    rds = await asyncpg.connect(f"postgresql://rds_owner@{server}/vigil")
    for each in first:
        await rds.execute(each)
    await rds.close()

    await migrate(f"postgresql://vigil_migrate@{server}/vigil")
    connection = await asyncpg.connect(f"postgresql://vigil_migrate@{server}/vigil")
    for each in then:
        await connection.execute(each)
    await connection.close()
    # An upgrade: the migration runs again.
    await migrate(f"postgresql://vigil_migrate@{server}/vigil")

    async with Catalog(f"postgresql://vigil_command@{server}/vigil", role=ADMIN) as catalog:
        assert await add_camera(catalog, "acme/berlin/gate", "Gate", utc_ms())
    async with (
        Catalog(f"postgresql://vigil_worker@{server}/vigil", role=INDEX) as catalog,
        catalog.transaction() as transaction,
    ):
        assert await transaction.fetchval("SELECT count(*) FROM cameras") == 1
    async with WebCatalog(f"postgresql://vigil_page@{server}/vigil", required=True) as web:
        assert web is not None


def commands(program: str, *, inline: bool = False) -> list[str]:
    """Return the page's commands of a program: whole ones of blocks, or those in a sentence."""
    text = PAGE.read_text().replace("\\\n", " ")
    if inline:
        return re.findall(rf"`{program} ([^`]+)`", text)
    found = re.findall(rf"^ {{4,}}{program} +(.+?)(?: +#.*)?$", text, re.MULTILINE)
    return [" ".join(each.split()) for each in found]


@pytest.mark.parametrize("command", commands("vigil"))
def test_each_vigil_command_is_whole(command: str) -> None:
    group, *rest = shlex.split(command)
    assert group_parser(group).parse_args([group, *rest]).run


@pytest.mark.parametrize("command", commands("vigil", inline=True))
def test_each_vigil_command_in_a_sentence_exists(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a sentence leaves out may be missing; a word that is there is known."""
    group, *rest = shlex.split(command)
    try:
        group_parser(group).parse_args([group, *rest])
    except SystemExit:
        assert "the following arguments are required" in capsys.readouterr().err


def test_each_make_target_exists() -> None:
    makefile = (FOLDER.parent / "Makefile").read_text()
    named = [each.split()[0] for each in commands("make") + commands("make", inline=True)]
    assert len(set(named)) >= 6
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"there is no make {target}"


def rendered(chart: str) -> list[dict[str, Any]]:
    """Return what the page's command for a chart of ours makes, by the page's own options."""
    [command] = [each for each in commands("helm") if f" helm/{chart} " in each]
    filled = {
        "…": DIGEST.removeprefix("sha256:"), "REGISTRY": "registry.example.com",
        "REPOSITORY": "registry.example.com/vigil/cloud", "ROLE": "vigil-dev-node",
    }  # fmt: skip
    for word, value in filled.items():
        command = re.sub(rf"(?<![A-Z]){word}(?![A-Z])", value, command)
    words = shlex.split(command)
    dropped = {"install", "upgrade", "--install", "--atomic", "--timeout", "20m"}
    text = helm("template", "--kube-version", "1.34.0",
                *(str(FOLDER.parent / w) if w.startswith("helm/") else w
                  for w in words if w not in dropped))  # fmt: skip
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def test_the_administrators_chart_is_rendered_by_the_page() -> None:
    manifests = rendered("vigil-cluster")
    [policy] = of_kind(manifests, "ValidatingAdmissionPolicy")
    expression = policy["spec"]["variables"][-1]["expression"]
    assert r"registry\\.example\\.com/vigil/cloud|" in expression
    kinds = {m["kind"] for m in manifests}
    assert {"NodePool", "ClusterIssuer", "ClusterSecretStore"} <= kinds, "the page's check"
    secrets = {m["spec"].get("secretName") for m in of_kind(manifests, "Certificate")}
    values = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    tls = values["prometheus"]["prometheusSpec"]["web"]["tlsConfig"]
    assert tls["keySecret"]["name"] in secrets


def test_the_programs_chart_is_rendered_by_the_page() -> None:
    manifests = rendered("vigil")
    assert manifests == render(
        "vigil", "--set", "image.repository=registry.example.com/vigil/cloud",
        "--set", f"image.digest={DIGEST}", values="dev",
    )  # fmt: skip
    deployments = {m["metadata"]["name"] for m in of_kind(manifests, "Deployment")}
    for name in re.findall(r"deploy/(\S+)", PAGE.read_text()):
        assert name in deployments
    services = {m["metadata"]["name"] for m in of_kind(manifests, "Service")}
    assert "vigil-devices" in services


def test_the_page_names_what_it_reads() -> None:
    for path in re.findall(r"-f (helm/\S+)", PAGE.read_text()):
        assert (FOLDER.parent / path).exists(), path
    listed = re.findall(r"`([a-z-]+-url|[a-z]+-secret|audit-key|device-ca)`", PAGE.read_text())
    secrets = (FOLDER.parent / "terraform/roots/data/main.tf").read_text()
    for name in listed:
        assert f'"{name}"' in secrets, name
