"""Apache Kafka: one KRaft node that is broker and controller."""

import logging
import subprocess
import uuid
from base64 import urlsafe_b64encode

from domain.errors import VigilError
from local import java
from local.folder import cache_dir
from local.ports import HOST
from local.service import Service, ask

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
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
        self._properties.write_text(
            _PROPERTIES.format(host=HOST, broker=self._port, controller=controller, logs=logs)
        )
        (self.home / "log4j2.properties").write_text(_LOGGING)
        if not (logs / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """Return the broker's command line."""
        return self._java("kafka.Kafka", str(self._properties))

    def answers(self) -> bool:
        """Ask for the cluster's metadata: true once the controller leads and the broker serves."""
        return bool(ask(self._described))

    def settings(self) -> dict[str, str]:
        """Return the brokers' address."""
        return {"VIGIL_KAFKA_BROKERS": self.address}

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
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address, request_timeout_ms=3_000)
        try:
            await admin.start()
            cluster = await admin.describe_cluster()
            return bool(cluster["brokers"])
        finally:
            await admin.close()
            logger.setLevel(level)

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
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        done = subprocess.run(
            self._java(
                "kafka.tools.StorageTool",
                # With "=": one id in 64 starts with a hyphen and would be taken for an option.
                *("format", f"--cluster-id={cluster}", "--config", str(self._properties)),
            ),
            capture_output=True,
            text=True,
            cwd=cache_dir(),
            check=False,
        )
        if done.returncode:
            self.process.log.write_text(done.stdout + done.stderr)
            raise VigilError(f"Kafka cannot format {self.home}; see {self.process.log}.")
