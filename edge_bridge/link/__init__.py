"""The link to the cloud: what people ask this device for now. Recording never needs it."""
