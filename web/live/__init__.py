"""Live pictures in the cloud: the relay in link workers, and its viewers in web workers."""
