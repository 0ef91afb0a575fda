"""The address for devices: enrolment, the link, live video."""
