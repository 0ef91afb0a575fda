"""From a camera to fragments: one thread per camera, sharing nothing with the others.

source    what a camera or clip is to capture: streams and packets
rtsp      a camera; its faults in words
clip      a file played at its own pace, for where there is no camera
gathering packets handed on together where nobody waits for them
run       one unbroken recording: packets to events and bytes
bounds    what FFmpeg may allocate in one piece
sub       the stream that is looked at instead of the recorded one
recorder  the thread: connect, record, say why it ended, try again
"""
