"""Two faults of aiokafka with broken connections, corrected for every Kafka client of this process.

Both were found by killing the broker under a worker, which then committed nothing any more.

1. On uvloop, a write to a closed connection raises RuntimeError ("the handler is closed") until
   aiokafka notices the end. asyncio's own loop drops the bytes. aiokafka does not expect this
   error: it kills the task that keeps the cluster's metadata, without a log line. After that, a
   lost coordinator is never found again. Here the error becomes KafkaConnectionError.

2. aiokafka may find a connection at its end of file before that connection's reader does. It drops
   the connection without closing it, because `connected()` is False. Requests in flight then wait
   for their time-out, 90 s in our workers. Here the connection is closed, which ends them.

Private names of aiokafka 0.14.0 used here, and why. They are here and not in faust_private.py,
because programs without Faust need them too:
  AIOKafkaConnection.send              writes a request
  AIOKafkaClient._get_conn, _conns     where a connection is found, and dropped
"""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_get_connection = AIOKafkaClient._get_conn
_send = AIOKafkaConnection.send


async def _close_if_broken(
    client: AIOKafkaClient, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **options: Any
) -> Any:
    """Look a connection up; one that broke is closed, which ends its requests with an error."""
    connection = client._conns.get((node_id, group))
    if connection is not None and not connection.connected():
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
    return await _get_connection(client, node_id, group=group, **options)


def _send_or_connection_error(
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
    """Correct all clients; once, before any is made."""
    AIOKafkaClient._get_conn = _close_if_broken
    AIOKafkaConnection.send = _send_or_connection_error


def uninstall() -> None:
    """Leave aiokafka as it is, for the tests that show why."""
    AIOKafkaClient._get_conn = _get_connection
    AIOKafkaConnection.send = _send
