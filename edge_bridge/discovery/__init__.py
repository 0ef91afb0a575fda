"""Finds ONVIF cameras on the camera network and drafts the edge's configuration.

    search     WS-Discovery: which devices are there (UDP multicast)
    soap       one SOAP call to one device, bounded in bytes and time
    onvif      what a device is, its profiles and the addresses of their streams
    draft      edge.yaml from what was found
    xml        untrusted XML, parsed without DTDs or entities
    discover   all of it together: `vigil edge discover`

Nothing that a device sends is trusted: see docs/design/discovery.md.
"""
