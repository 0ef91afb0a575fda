"""From built images to a running release: push, sign, verify, announce, install.

Only Python's own library, cosign, skopeo, helm, kubectl and aws are needed: the project that
installs a release has no virtual environment. Each command is a make target: see
docs/design/delivery-pipeline.md.
"""
