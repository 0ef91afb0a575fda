"""Local inference, in a worker process of its own: encoded frames in, detections out.

frame_queue    capture offers encoded frames here; it never waits
supervisor     starts, watches and replaces the worker (worker_process) and publishes detections
worker         the other process: decode_pool, camera_pipeline (decode, sample, motion gate),
               model_runner (preprocess, infer, postprocess), camera_report (tracking)
ipc            the messages between the two processes
"""
