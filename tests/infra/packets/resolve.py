"""Answer DNS queries below a domain by one address; print each name that is asked.

resolve.py ADDRESS DOMAIN ANSWER TTL_S: the domain "" is any.
"""

import socket
import struct
import sys

address, domain, answer, ttl = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((address, 53))
print("ready", flush=True)
while True:
    query, sender = sock.recvfrom(1500)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
    name = ".".join(labels).lower()
    print(name, flush=True)
    known = name.endswith(domain)
    records = b""
    if known and kind == 1:
        records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl, 4) + socket.inet_aton(answer)
    flags = 0x8180 if known else 0x8183
    head = query[:2] + struct.pack(">HHHHH", flags, 1, bool(records), 0, 0)
    sock.sendto(head + query[12 : at + 5] + records, sender)
