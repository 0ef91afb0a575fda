"""From a camera to fragments: one thread per camera, sharing nothing with the others.

- source: what a camera or clip provides: streams and packets
- reader_choice: which source reads a camera
- native_source: a camera read by the own RTSP client
- ffmpeg_source: a camera read by FFmpeg
- clip_source: a file played at its own pace, where there is no camera
- diagnose, error_text: what is wrong with a camera, as text
- coalescing: packets handled together if no one waits for them
- memory_limits: how much glibc may keep (media/allocation_limit.py: how much FFmpeg may take)
- run: one unbroken recording: packets to events and bytes
- sub_stream: the stream that is analysed instead of the recorded one
- watchdog: the age of the last fragment
- recorder: the thread: connect, record, say why it ended, try again
"""
