"""A small RTSP client for plain cameras; docs/design/rtsp.md. All others are FFmpeg's.

dialog       connect, sign, set up, play: a camera that sends
line         the connection, one request at a time, within bounds of time and bytes
message      RTSP's requests and answers, and the frames between them
signing      user and password as a camera wants them
sdp          what a camera offers
fault        what is wrong with a camera, in words
interleaved  frames out of the connection's bytes
rtp          packets in their order
coding       payloads to pictures and sound, as the SDP describes them
pictures     access units of H.264 and H.265
sound        frames of sound
"""
