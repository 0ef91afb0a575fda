"""Which execution provider computes: the one that was asked for, and the one that does."""

import contextlib
import io
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from domain.errors import ModelError
from vision.gpu import CUDA, TENSORRT, GpuOptions, ProviderOptions, provider_options

log = logging.getLogger(__name__)

SHORT_NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": CUDA,
    "tensorrt": TENSORRT,
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
CPU = SHORT_NAMES["cpu"]


def full_names(wanted: Sequence[str]) -> list[str]:
    """Return ONNX Runtime's names, best first; raises ModelError for an unknown name."""
    names = []
    for name in wanted:
        full = SHORT_NAMES.get(name.lower(), name)
        if not full.endswith("ExecutionProvider"):
            known = ", ".join(SHORT_NAMES)
            raise ModelError(f"Execution provider {name!r} is unknown. Choose one of {known}.")
        names.append(full)
    if not names:
        raise ModelError("No execution provider is configured. Name at least cpu.")
    return names


def open_session(
    path: Path,
    wanted: Sequence[str],
    *,
    fallback: bool,
    threads: int,
    gpu: GpuOptions | None = None,
) -> tuple[ort.InferenceSession, str]:
    """Load a model; return its session and the provider that computes most or all of it.

    That must be the first of `wanted`; with `fallback`, the next best one is accepted.
    Raises ModelError where the file is not an ONNX model or the provider is not available.
    """
    if not path.is_file():
        raise ModelError(f"Model file {path} does not exist. Correct the card's file.")
    names = full_names(wanted)
    available = ort.get_available_providers()
    if names[0] not in available and not fallback:
        raise _unavailable(names[0], f"this ONNX Runtime has only {', '.join(available)}")
    usable = [name for name in names if name in available]
    if {CUDA, TENSORRT} & set(usable):
        _preload()
    with_options = [
        (name, provider_options(name, gpu or GpuOptions(), path))
        for name in [*usable, *([] if CPU in usable else [CPU])]
    ]
    session = _load(path, with_options, threads)
    nodes = _nodes_by_provider(session)
    actual = next((name for name in session.get_providers() if nodes[name]), CPU)
    if names[0] != actual and not fallback:
        raise _unavailable(names[0], f"ONNX Runtime chose {actual} instead")
    level = logging.INFO if names[0] == actual else logging.WARNING
    log.log(
        level, "%s runs on %s (asked for %s; nodes: %s)", path.name, actual, names[0], dict(nodes)
    )
    return session, actual


def _preload() -> None:
    """Make the runtime find CUDA and cuDNN where they were installed as Python packages."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(Exception):
        ort.preload_dlls()
    if output.getvalue().strip():
        log.info("ONNX Runtime: %s", " ".join(output.getvalue().split()))


def _unavailable(wanted: str, why: str) -> ModelError:
    return ModelError(
        f"{wanted} was asked for, but {why}. Install the driver and the ONNX Runtime package for "
        "it, ask for another provider, or set fallback: true."
    )


def _load(
    path: Path, providers: list[tuple[str, ProviderOptions]], threads: int
) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle threads must not keep the edge's few cores busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        return ort.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # its classes share no base
        what = " ".join(str(error).split())[:300]
        raise ModelError(f"Model file {path} cannot be loaded as ONNX: {what}") from error


def _nodes_by_provider(session: ort.InferenceSession) -> Counter[str]:
    """Count the nodes of each provider; older runtimes only report the registered providers."""
    try:
        parts = session.get_provider_graph_assignment_info()
        nodes = Counter(dict.fromkeys(session.get_providers(), 0))
        for part in parts:
            nodes[part.ep_name] += len(part.get_nodes())
    except Exception:  # older runtimes lack the call, and some providers reject it
        nodes = Counter()
    return nodes if nodes.total() else Counter({session.get_providers()[0]: 1})
