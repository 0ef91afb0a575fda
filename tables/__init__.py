"""Faust tables, one each: key, bound, changelog."""
