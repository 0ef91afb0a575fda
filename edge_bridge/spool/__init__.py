"""The edge's disk: fragments and messages until they are in the cloud, and after.

files      one fragment, one file, whole or not there
journal    the SQLite rows: which fragment, run and message is where on its way
spool      the rules: in which order disk and rows change
space      what is deleted, or given up, where room is needed
giving_up  what nobody will send: let go, counted, listed
recovery   what a start makes of whatever a crash left
owner      the one thread that all of this runs on
"""
