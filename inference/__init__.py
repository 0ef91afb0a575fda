"""Cloud inference: an engine of models, its batches, and the servers above it.

    client ─► server ─► engine ─┬─ embedded: queue ─► batches ─► process of the model (ONNX Runtime)
                                └─ any server that speaks the Open Inference Protocol v2

docs/design/inference-api.md says why.
"""
