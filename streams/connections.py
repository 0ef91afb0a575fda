"""Requests on a connection that broke end at once, for every Kafka client of this process.

aiokafka drops a connection at whose end of file it looks before that connection's reader has
noticed (`connected()` is False then, and so it is not closed). Nobody answers the requests that
were on their way: each waits for its time-out, 90 s in our workers. After a broker's death an
offset commit stood still that long, and the metadata with which its successor is found.

Private parts of aiokafka 0.14.0 this stands on, and why:
  AIOKafkaClient._get_conn, _conns     where a connection is looked at, and dropped
"""

from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import CloseReason

_look_up = AIOKafkaClient._get_conn


async def _closing_the_broken(
    client: AIOKafkaClient, node_id: Any, *, group: Any = ConnectionGroup.DEFAULT, **options: Any
) -> Any:
    """Look a connection up; one that broke is closed, which ends its requests with an error."""
    connection = client._conns.get((node_id, group))
    if connection is not None and not connection.connected():
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
    return await _look_up(client, node_id, group=group, **options)


def install() -> None:
    """Let all clients close connections that broke; once, before any is made."""
    AIOKafkaClient._get_conn = _closing_the_broken


def uninstall() -> None:
    """Leave aiokafka as it is, for the test that shows why."""
    AIOKafkaClient._get_conn = _look_up
