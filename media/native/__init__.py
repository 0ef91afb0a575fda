"""What recording does with every byte, in Rust: used where the extension is built.

Without it recording does the same in Python, with the same result, and costs more CPU. No rule is
in here. VIGIL_NATIVE=off switches it off. See docs/design/native.md.
"""

import os

try:
    from media.native._extension import AccessUnitScanner, TransportStreamWriter

    _BUILT = True
except ImportError:
    _BUILT = False

AVAILABLE = _BUILT and os.environ.get("VIGIL_NATIVE", "on") != "off"
"""Whether the extension is used."""
DESCRIPTION = (
    "its extension in Rust"
    if AVAILABLE
    else "its Python path, which costs more CPU: the extension in Rust is "
    + ("switched off" if _BUILT else "not built")
)

__all__ = ["AVAILABLE", "DESCRIPTION", "AccessUnitScanner", "TransportStreamWriter"]
