"""Kafka side: topics, codec, settings, loss-free delivery, the Faust app."""
