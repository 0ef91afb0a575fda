"""The options of CUDA and TensorRT, and the cache of TensorRT's built engines.

    engine_cache/<16 digits>/…   one folder for each model file: the start of its SHA-256

TensorRT names an engine after the model's graph, not its weights. In one folder for all models, a
model that was trained again would get the engine of the old one.
"""

import hashlib
import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"
KEPT_ENGINES = 4
"""Model files whose engines stay (LRU): the one used longest ago is deleted first."""
_FOLDER = re.compile(r"[0-9a-f]{16}")

log = logging.getLogger(__name__)

ProviderOptions = dict[str, str]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """Which GPU, and how much of it."""

    device: int = 0
    memory_mib: int | None = None
    """Most memory of one model; None: no bound."""
    half: bool = False
    """TensorRT may compute in 16 bits."""
    engine_cache: Path | None = None
    """Folder of TensorRT's engines; None: each start builds them."""


def provider_options(provider: str, gpu: GpuOptions, model: Path) -> ProviderOptions:
    """Return the options of an execution provider for one model file; most have none."""
    if provider == CUDA:
        options = {
            "device_id": str(gpu.device),
            # Batches differ in size, and an exhaustive search would run again for each size.
            "cudnn_conv_algo_search": "HEURISTIC",
            # Doubling the memory at each growth would take more than a shared GPU has.
            "arena_extend_strategy": "kSameAsRequested",
        }
        if gpu.memory_mib is not None:
            options["gpu_mem_limit"] = str(gpu.memory_mib << 20)
        return options
    if provider == TENSORRT:
        options = {"device_id": str(gpu.device), "trt_fp16_enable": _flag(gpu.half)}
        if gpu.memory_mib is not None:
            options["trt_max_workspace_size"] = str(gpu.memory_mib << 20)
        folder = gpu.engine_cache and _engines(gpu.engine_cache, model)
        if folder:
            options |= {
                "trt_engine_cache_enable": _flag(True),
                "trt_engine_cache_path": str(folder),
                "trt_timing_cache_enable": _flag(True),
                "trt_timing_cache_path": str(folder.parent),
            }
        return options
    return {}


def _flag(value: bool) -> str:
    return "True" if value else "False"


def _engines(cache: Path, model: Path) -> Path | None:
    """Return the folder of a model file's engines, marked as used; None: it is not writable."""
    try:
        with model.open("rb") as file:
            folder = cache / hashlib.file_digest(file, "sha256").hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        folder.touch()
        others = [one for one in cache.iterdir() if one.is_dir() and _FOLDER.fullmatch(one.name)]
        for old in sorted(others, key=lambda one: -one.stat().st_mtime_ns)[KEPT_ENGINES:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.warning(
            "Cannot keep TensorRT's engines in %s (%s). Each start builds them again, which takes "
            "minutes. Make the folder writable.",
            cache,
            error.strerror,
        )
        return None
    return folder
