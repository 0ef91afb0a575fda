"""Listen on ports (tcp:80 udp:53), and answer what comes."""

import selectors
import socket
import sys

ready = selectors.DefaultSelector()
for each in sys.argv[1:]:
    kind, port = each.split(":")
    type = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    sock = socket.socket(socket.AF_INET6, type)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", int(port)))
    if kind == "tcp":
        sock.listen()
    ready.register(sock, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            key.fileobj.accept()[0].close()
        else:
            data, sender = key.fileobj.recvfrom(2000)
            key.fileobj.sendto(data, sender)
