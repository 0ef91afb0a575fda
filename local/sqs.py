"""ElasticMQ: a queue with the SQS protocol. Messages are on disk, and survive a restart."""

from local import java
from local.aws import client
from local.ports import HOST
from local.service import Service

QUEUE = "vigil-events"
DEAD_LETTERS = "vigil-dead-letters"
_ACCOUNT = "000000000000"

_CONFIGURATION = """\
include classpath("application.conf")
node-address {{ protocol = http, host = "{host}", port = {port}, context-path = "" }}

rest-sqs {{ enabled = true, bind-hostname = "{host}", bind-port = {port}, sqs-limits = strict }}
rest-stats {{ enabled = false }}
generate-node-address = false

messages-storage {{
  enabled = true
  uri = "jdbc:h2:file:{home}/messages;DB_CLOSE_ON_EXIT=FALSE"
}}

queues {{
  {queue} {{ defaultVisibilityTimeout = 30 seconds, receiveMessageWait = 0 seconds }}
  {dead} {{ defaultVisibilityTimeout = 30 seconds }}
}}

aws {{ region = "eu-central-1", accountId = "{account}" }}
"""


class ElasticMq(Service):
    """The queue of events, and its dead-letter queue."""

    name = "sqs"
    title = "SQS (ElasticMQ)"

    def prepare(self) -> None:
        """Write the configuration."""
        self._jars = java.jars("elasticmq", self.report)
        self._port = self.ports.take("sqs")
        self.home.mkdir(exist_ok=True)
        (self.home / "elasticmq.conf").write_text(
            _CONFIGURATION.format(
                host=HOST,
                port=self._port,
                home=self.home,
                queue=QUEUE,
                dead=DEAD_LETTERS,
                account=_ACCOUNT,
            )
        )

    def command(self) -> list[str]:
        """Return the server's command line."""
        options = [
            *java.small_server(self.home, most_mib=160),
            f"-Dconfig.file={self.home}/elasticmq.conf",
        ]
        return [
            *java.command(self.home / "java.args", options, self._jars),
            "org.elasticmq.server.Main",
        ]

    def answers(self) -> bool:
        """Request the URLs of both queues."""
        try:
            sqs = client("sqs", self.endpoint)
            for queue in (QUEUE, DEAD_LETTERS):
                sqs.get_queue_url(QueueName=queue)
        except Exception:
            return False
        return True

    def settings(self) -> dict[str, str]:
        """Return the queues' addresses."""
        return {
            "VIGIL_SQS_ENDPOINT": self.endpoint,
            "VIGIL_SQS_QUEUE_URL": f"{self.endpoint}/{_ACCOUNT}/{QUEUE}",
            "VIGIL_SQS_DEAD_LETTER_URL": f"{self.endpoint}/{_ACCOUNT}/{DEAD_LETTERS}",
        }

    @property
    def endpoint(self) -> str:
        """Return the address of the SQS interface."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Return host and port of the server."""
        return f"{HOST}:{self._port}"
