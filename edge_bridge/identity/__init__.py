"""The identity of this device: its key, its certificate, enrolment and renewal."""
