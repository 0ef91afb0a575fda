"""Apache Kafka: one KRaft node that is broker and controller."""

import logging
import ssl
import subprocess
import uuid
from base64 import urlsafe_b64encode
from typing import Any

from domain.errors import VigilError
from local import java
from local.certificates import OTHER_USERS, USER
from local.folder import cache_dir
from local.ports import HOST
from local.service import Service, ask

_PROPERTIES = """\
process.roles=broker,controller
node.id=1

controller.quorum.voters=1@{host}:{controller}
listeners={protocol}://{host}:{broker},CONTROLLER://{host}:{controller}

advertised.listeners={protocol}://{host}:{broker}
inter.broker.listener.name={protocol}
controller.listener.names=CONTROLLER
listener.security.protocol.map={protocol}:{protocol},CONTROLLER:PLAINTEXT

log.dirs={logs}
auto.create.topics.enable=false
num.partitions=8

default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Sized for one machine: small indexes and cleaner, few threads.
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.threads=1
num.network.threads=2
num.io.threads=4
num.replica.fetchers=1
background.threads=2
# A broker that was killed may come back soon: the controller forgets the old one after this.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""

_SECURE = """\
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required \
username="{user}" password="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={server}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# ANONYMOUS: the controller's listener has no users.
super.users=User:{user};User:ANONYMOUS
allow.everyone.if.no.acl.found=false
ssl.truststore.type=PEM
ssl.truststore.location={ca}
"""

_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
logger.config.name = org.apache.kafka.common.config
logger.config.level = error
"""


class Kafka(Service):
    """The broker. Its heap is limited: a site's demo needs tens of MiB."""

    name = "kafka"
    title = "Apache Kafka"
    stop_within_s = 20

    def prepare(self) -> None:
        """Write the configuration; format the storage once."""
        self._jars = java.jars("kafka", self.report)
        self._port = self.ports.take("kafka")
        controller = self.ports.take("kafka-controller")
        self.home.mkdir(exist_ok=True)
        logs = self.home / "log"
        self._properties = self.home / "server.properties"
        self._properties.touch(0o600)
        self._properties.write_text(
            _PROPERTIES.format(
                host=HOST,
                broker=self._port,
                controller=controller,
                logs=logs,
                protocol="SASL_SSL" if self.certificates else "PLAINTEXT",
            )
            + self._secure()
        )
        (self.home / "log4j2.properties").write_text(_LOGGING)
        if not (logs / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """Return the broker's command line."""
        return self._java("kafka.Kafka", str(self._properties))

    def answers(self) -> bool:
        """Read the cluster's metadata: true once there is a controller and the broker serves."""
        return bool(ask(self._described))

    def settings(self) -> dict[str, str]:
        """Return the broker's address, and how to authenticate."""
        address = {"VIGIL_KAFKA_BROKERS": self.address}
        if self.certificates is None:
            return address
        return {
            **address,
            "VIGIL_KAFKA_SECURITY": "SASL_SSL",
            "VIGIL_KAFKA_CA_FILE": str(self.certificates.ca_file),
            "VIGIL_KAFKA_USERNAME": USER,
            "VIGIL_KAFKA_PASSWORD_FILE": str(self.certificates.password_file),
        }

    @property
    def address(self) -> str:
        """Return host and port of the broker."""
        return f"{HOST}:{self._port}"

    async def _described(self) -> bool:
        from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415 - slow to import

        # Refused connections while it starts are no news.
        logger = logging.getLogger("aiokafka")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.address, request_timeout_ms=3_000, **self._access()
        )
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            return bool(cluster["brokers"])
        finally:
            await admin.close()
            logger.setLevel(level)

    def _secure(self) -> str:
        """Return the properties of TLS and SCRAM, or nothing if they are not used."""
        files = self.certificates
        if files is None:
            return ""
        return _SECURE.format(
            user=USER, password=files.password, server=files.server_file, ca=files.ca_file
        )

    def _access(self) -> dict[str, Any]:
        files = self.certificates
        if files is None:
            return {}
        return {
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(files.ca_file)),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": USER,
            "sasl_plain_password": files.password,
        }

    def _java(self, program: str, *arguments: str) -> list[str]:
        options = [
            "-Xms64m",
            "-Xmx320m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            f"-XX:ErrorFile={self.folder.logs}/kafka-crash.log",
            f"-Dlog4j2.configurationFile={self.home}/log4j2.properties",
            f"-Dkafka.logs.dir={self.folder.logs}",
        ]
        start = java.command(self.home / "java.args", options, self._jars)
        return [*start, program, *arguments]

    def _format(self) -> None:
        users = []
        if self.certificates is not None:
            for name in (USER, *OTHER_USERS):
                user = f"SCRAM-SHA-512=[name={name},password={self.certificates.password}]"
                users += ["--add-scram", user]
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool",
                # With "=": one id in 64 starts with a hyphen and would look like an option.
                *("format", f"--cluster-id={cluster}", "--config", str(self._properties)),
                *users,
            ),
            capture_output=True,
            text=True,
            cwd=cache_dir(),
            check=False,
        )
        if done.returncode:
            self.process.log.write_text(done.stdout + done.stderr)
            raise VigilError(f"Kafka cannot format {self.home}; see {self.process.log}.")
