"""Search for ONVIF devices by multicast from this address; exit 0 if one answers."""

import socket
import sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[1]))
sock.settimeout(3)
sock.bind(("", 0))
print(sock.getsockname()[1], flush=True)
sock.sendto(b"probe", ("239.255.255.250", 3702))
sys.exit(0 if sock.recv(100) else 1)
