"""Enforcing retention: rows first, then tombstones, then objects, each step safe to do again.

    look       candidates.py   which rows' footage may go, and does S3 have it as they say
    decide     retain.py       one transaction under the camera's lock: holds and rules are read
                               again, rows go, tombstones stand, the deletion is noted
    tell       carry_out.py    `Deleted` goes to Kafka and is acknowledged
    delete     carry_out.py    under the holds' lock: objects no hold touches go, then the note

Whoever comes after a crash begins with what is under way. See docs/design/retention.md.
"""
