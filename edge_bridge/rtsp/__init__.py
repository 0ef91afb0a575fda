"""A small RTSP client for common cameras; docs/design/rtsp.md. FFmpeg reads all other cameras.

- session: OPTIONS, DESCRIBE, SETUP, PLAY, from an address to a playing stream
- connection: the TCP or TLS connection, one request at a time, limited in time and bytes
- message: requests, responses and interleaved packets as bytes
- auth: Basic and Digest authentication
- sdp: the media descriptions in the DESCRIBE response
- errors: exceptions, and what is wrong with a camera as text
- interleaved: RTP and RTCP packets from the RTSP connection
- rtp: RTP headers, sequence numbers, timestamps, sender reports
- nal: NAL unit types of H.264 and H.265
- h264_fields: coded fields of interlaced H.264
- h26x_depacketizer: RTP packets to access units
- audio_depacketizer: RTP packets to audio frames
- av_sync: audio and video on one timeline
"""
