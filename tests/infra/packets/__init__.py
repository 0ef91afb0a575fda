"""Programs that send and answer packets in namespaces."""
