"""Takes traces by OTLP over HTTP, as a collector does."""

import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


class OtlpReceiver:
    """The spans that came, by trace."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}/v1/traces"
        self._lock = threading.Lock()
        self._spans: dict[str, list[tuple[str, Any]]] = defaultdict(list)

    def add(self, body: bytes) -> None:
        """Add the spans of a request."""
        request = ExportTraceServiceRequest.FromString(body)
        with self._lock:
            for of_program in request.resource_spans:
                names = {
                    each.key: each.value.string_value for each in of_program.resource.attributes
                }
                for scope in of_program.scope_spans:
                    for span in scope.spans:
                        found = names["service.name"], span
                        self._spans[span.trace_id.hex()].append(found)

    def trace(self, trace_id: int) -> list[tuple[str, Any]]:
        """Return (program, span) of a trace, as they came."""
        with self._lock:
            return list(self._spans.get(f"{trace_id:032x}", ()))

    def traces(self) -> int:
        """Return how many traces there are."""
        with self._lock:
            return len(self._spans)


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Serve on a free port."""
    receiver: OtlpReceiver

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.add(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Print no line for each request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = OtlpReceiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
