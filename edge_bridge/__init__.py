"""The program of the edge device: capture, spool, upload, local inference.

An import goes down this list or stays in its room; `lint-imports` holds it:

- edge: start, signals, graceful shutdown
- parts: builds the parts and wires them together
- heartbeat, health, check, health_client, discovery: reports and commands
- remote_config: the site's configuration from the catalog
- recorders, inference_manager, upload, page: each owns its tasks
- capture, inference, spool: video, detections, the disk
- rtsp, encoded_frame: the protocol, and what capture hands to inference
- config, clock, clock_sync, logs, metrics, temperatures: values only
"""
