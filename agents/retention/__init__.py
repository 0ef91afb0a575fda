"""Retention: rows first, then tombstones, then objects. Each step is safe to repeat.

    select     candidates.py          which rows' footage may be deleted, and does S3 agree
    decide     retention_pass.py      one transaction under the camera's lock: holds and rules are
                                      read again, rows are deleted, tombstones and the pending
                                      deletion are written
    publish    deletion_executor.py   `Deleted` is sent to Kafka and acknowledged
    delete     deletion_executor.py   under the holds' lock: objects that no hold covers are
                                      deleted, then the pending deletion

After a crash the next pass begins with the pending deletions. See docs/design/retention.md.
"""
