"""The edge's disk queue: fragments and messages stay here until they are in the cloud, and after.

    files      one fragment, one file: complete or absent
    journal    the SQLite rows: the state of each fragment, run and message
    spool      the rules: in which order disk and rows change
    eviction   what is deleted, or given up, when space is needed
    discard    fragments that are never sent: deleted or quarantined, counted, listed
    undated    footage recorded while the clock was wrong
    recovery   what a start does with what a crash left
    thread     the one thread that owns the spool

The files are what counts: a damaged journal is rebuilt from them.
"""
