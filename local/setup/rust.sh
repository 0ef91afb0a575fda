#!/bin/bash
# Check the extension in Rust, if cargo, rustfmt and clippy are installed: its format, and clippy
# without a warning. Its tests are Python's: they compare both paths byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../../media/native"

for tool in cargo rustfmt cargo-clippy; do
    if ! command -v "$tool" >/dev/null && [ ! -x "$HOME/.cargo/bin/$tool" ]; then
        echo "check: $tool is not installed; the extension in Rust is not checked"
        exit 0
    fi
done
PATH="$PATH:$HOME/.cargo/bin"
cargo fmt --check
if ! cargo fetch --locked --quiet 2>/dev/null; then
    echo "check: cargo's packages cannot be fetched; clippy does not check the extension in Rust"
    exit 0
fi
cargo clippy --locked --offline --quiet --all-targets -- --deny warnings
