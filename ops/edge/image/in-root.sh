#!/bin/bash
# For Ansible in place of ssh: runs the command (the last argument) in the root that VIGIL_ROOT names.
exec chroot "${VIGIL_ROOT:?}" /bin/sh -c "${!#}"
