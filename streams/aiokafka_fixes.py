"""What a broken connection does to requests, mended for every Kafka client of this process.

Both were found by killing the broker under a worker, which then committed nothing any more.

On uvloop, writing to a connection whose end aiokafka has not noticed yet raises RuntimeError ("the
handler is closed"), where asyncio's own loop would drop the bytes. No one expects it: the task that
keeps the cluster's metadata dies of it, silently. From then on a lost coordinator is looked for and
never found. Here it is what it means: KafkaConnectionError.

A connection at whose end of file aiokafka looks before that connection's reader has noticed is
dropped (`connected()` is False then, and so it is not closed). Nobody answers the requests that
were on their way: each waits for its time-out, 90 s in our workers. Here it is closed, which ends
them.

Private parts of aiokafka 0.14.0 this stands on, and why:
  AIOKafkaConnection.send              writes a request
  AIOKafkaClient._get_conn, _conns     where a connection is looked at, and dropped
"""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_look_up = AIOKafkaClient._get_conn
_send = AIOKafkaConnection.send


async def _closing_the_broken(
    client: AIOKafkaClient, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **options: Any
) -> Any:
    """Look a connection up; one that broke is closed, which ends its requests with an error."""
    connection = client._conns.get((node_id, group))
    if connection is not None and not connection.connected():
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
    return await _look_up(client, node_id, group=group, **options)


def _raising_what_is_expected(
    connection: AIOKafkaConnection, request: Any, expect_response: bool = True
) -> Any:
    """Send; raises KafkaConnectionError where the connection is closed already."""
    try:
        return _send(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(
            f"Connection at {connection.host}:{connection.port} broken: {error}"
        ) from error


def install() -> None:
    """Mend all clients; once, before any is made."""
    AIOKafkaClient._get_conn = _closing_the_broken
    AIOKafkaConnection.send = _raising_what_is_expected


def uninstall() -> None:
    """Leave aiokafka as it is, for the tests that show why."""
    AIOKafkaClient._get_conn = _look_up
    AIOKafkaConnection.send = _send
