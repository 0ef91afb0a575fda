"""Answer a search for ONVIF devices at this address."""

import socket
import sys

sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
sock.bind(("239.255.255.250", 3702))
group = socket.inet_aton("239.255.255.250") + socket.inet_aton(sys.argv[1])
sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
back.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
back.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
back.bind((sys.argv[1], 3702))
print("ready", flush=True)
data, sender = sock.recvfrom(2000)
back.sendto(data, sender)
