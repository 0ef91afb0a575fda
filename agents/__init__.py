"""Faust agents, one thin stage each: receive, ask the domain, act."""
