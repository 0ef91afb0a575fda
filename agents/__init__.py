"""Agents: the stages of the stream, and the rooms with the code that does their work.

One rule: a module directly in this folder is a Faust stage that operators start.

    faust -A agents.assemble worker     also agents.heal, agents.join, agents.index

A stage is thin: it receives an event, asks the domain or a room, and sends what follows.
These four module names are public: service units and scripts contain them. Do not move them.

The rooms, one for each duty:

    joining         a window's fragments become one chunk
    healing         find fragments in S3 that no event announced
    indexing        write events to the catalog
    consistency     `vigil fsck`: compare S3 with the catalog, repair what differs
    configuration   publish each camera's window settings
    relay           `vigil relay run`: from SQS to Kafka
    replay          `vigil replay`: rebuild catalog, chunks or detections
    retention       `vigil retention enforce`: delete old footage
"""
