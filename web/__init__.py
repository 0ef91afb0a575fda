"""Faust views: what people and programs can ask."""
