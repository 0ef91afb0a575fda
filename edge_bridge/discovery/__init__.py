"""Finds ONVIF cameras on the camera network and drafts the edge's configuration.

search  WS-Discovery: who is there (UDP multicast)
soap    one question to one device, bounded in bytes and time
onvif   what a device is, its profiles and where their streams are
draft   edge.yaml from what was found
xml     what strangers send, parsed without DTDs or entities

Everything that a device says is a stranger's word: see docs/design/discovery.md.
"""
