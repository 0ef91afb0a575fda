"""Exit 0 if kind, host and port answer; the last argument is the source port, or 0."""

import socket
import sys

kind, host, port, source = sys.argv[1:5]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(0.7)
if source != "0":
    sock.bind(("", int(source)))
try:
    sock.connect((host, int(port)))
    if kind == "udp":
        sock.send(b"x")
        sock.recv(10)
except OSError:
    sys.exit(1)
