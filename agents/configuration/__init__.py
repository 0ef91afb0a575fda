"""Camera configuration: publish each camera's window settings to the stream."""
