"""The chart's own containers next to this machine's services: what `helm install` starts."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from domain.errors import VigilError
from local.aws import CREDENTIALS
from local.certificates import make_pair
from local.folder import project_root
from local.images.chart import Cluster, Manifest, Pod, render
from local.images.engine import Engine
from local.ports import HOST, find_free
from local.stack import Stack
from stores.audit_keys import create_key_file
from stores.device_ca import create_ca
from streams.settings import Settings

CHART = project_root() / "helm" / "vigil"
LOGINS = {
    "index": "vigil_index", "admin": "vigil_admin", "web": "vigil_web", "link": "vigil_link",
}  # fmt: skip
"""PostgreSQL users of the programs, and the role of each."""
_SECRETS, _TLS = "vigil-secrets", "vigil-tls"
_OF_STACK = ("VIGIL_KAFKA_BROKERS", "VIGIL_S3_BUCKET", "VIGIL_S3_ENDPOINT", "VIGIL_SQS_ENDPOINT",
             "VIGIL_SQS_QUEUE_URL", "VIGIL_SQS_DEAD_LETTER_URL", "VIGIL_AWS_REGION",
             "VIGIL_STS_ENDPOINT", "VIGIL_DEVICE_ROLE_ARN")  # fmt: skip


def image_digest(engine: Engine, image: str) -> str:
    """Return the digest of an image, as the chart wants it."""
    return engine.podman("image", "inspect", "--format", "{{.Digest}}", image).strip()


class ChartRelease:
    """One release of the chart. `settings`: those of the installation, such as short windows."""

    def __init__(
        self, engine: Engine, stack: Stack, folder: Path, settings: dict[str, str]
    ) -> None:
        self._engine = engine
        self._stack = stack
        self._own = settings
        self._taken: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cluster = Cluster(
            engine, folder / "pods",
            {_SECRETS: self._secrets(), _TLS: self._certificate()},
            {**CREDENTIALS, "AWS_EC2_METADATA_DISABLED": "true"},
            self._free_port,
        )  # fmt: skip
        self.cluster.folder.mkdir()
        env = {**stack.env, **settings}
        self.settings = Settings.model_validate(
            {n.removeprefix("VIGIL_").lower(): v for n, v in env.items() if n.startswith("VIGIL_")}
        )

    def manifests(self, image: str) -> dict[str, Manifest]:
        """Return what the chart makes of an image: StatefulSets, Deployments, the Job, by name.

        What has no pods, such as that for a person's commands, is not among them.
        """
        env = {name: self._stack.env[name] for name in _OF_STACK if name in self._stack.env}
        values = {f"settings.{name}": value for name, value in (env | self._own).items()}
        values["image.repository"] = image.rpartition(":")[0]
        values["image.digest"] = image_digest(self._engine, image)
        rendered = render(CHART, [CHART / "values-single.yaml"], values)
        self.cluster.add_config_maps(rendered)
        return {
            manifest["metadata"]["name"].removeprefix("vigil-"): manifest
            for manifest in rendered
            if manifest["kind"] in ("StatefulSet", "Deployment", "Job")
            and manifest["spec"].get("replicas", 1)
        }

    def migrate(self, image: str, within_s: float = 120) -> None:
        """Run the migration's Job. Raises VigilError where it fails."""
        pod = self.cluster.pod(self.manifests(image)["migration"], suffix="job")
        try:
            pod.start()
            ended = pod.wait_end(within_s)
        finally:
            pod.remove()
        if ended.code:
            raise VigilError(f"the migration failed:\n{ended.output}")

    async def create_logins(self) -> None:
        """Make the PostgreSQL users of the programs; the catalog was migrated."""
        connection = await asyncpg.connect(self._stack.env["VIGIL_DATABASE_URL"])
        for login, role in LOGINS.items():
            await connection.execute(f"CREATE ROLE chart_{login} LOGIN IN ROLE {role}")
        await connection.close()

    def _free_port(self) -> int:
        port = find_free(self._taken)
        self._taken.add(port)
        return port

    def _secrets(self) -> dict[str, bytes]:
        owner = self._stack.env["VIGIL_DATABASE_URL"]
        found = {"database-url": owner}
        for login in LOGINS:
            user, at, rest = owner.partition("@")
            found[f"{login}-database-url"] = f"{user.rpartition('/')[0]}/chart_{login}{at}{rest}"
        found |= {name: secrets.token_urlsafe(48) for name in ("session-secret", "link-secret")}
        data = {name: value.encode() for name, value in found.items()}
        audit, ca, ca_key = (self._folder / name for name in ("audit.pem", "ca.pem", "ca.key"))
        create_key_file(audit)
        create_ca(ca, ca_key, "Devices", datetime.now(UTC))
        data["audit-key"] = audit.read_bytes()
        data["device-ca-certificate"] = ca.read_bytes()
        data["device-ca-key"] = ca_key.read_bytes()
        return data

    @staticmethod
    def _certificate() -> dict[str, bytes]:
        authority, pair = make_pair(HOST)
        return {"tls.crt": pair, "tls.key": pair, "ca.crt": authority}


def remove_all(pods: list[Pod], report: Callable[[str], None]) -> None:
    """Remove pods; one that cannot be removed is reported."""
    for pod in pods:
        try:
            pod.remove()
        except VigilError as error:
            report(str(error))
