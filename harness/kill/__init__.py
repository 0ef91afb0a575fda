"""kill -9 of the edge at random moments."""
