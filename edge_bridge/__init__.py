"""The program of the edge device: capture, spool, upload, local inference, outbox."""
