#!/bin/bash
# Measure local inference on this machine's NVIDIA GPU: the tests that need one, then the detector
# bench on CUDA, on TensorRT (twice: the second start takes the engine that was kept) and on the
# CPU. One JSON line of each on standard output.
#   make gpu                               packages are fetched into .vigil/gpu (some GB)
#   VIGIL_GPU_PYTHON=python3 make gpu      that Python has them all; nothing is fetched
#   VIGIL_TEST_MODEL=card.yaml make gpu    that model instead of the bench's own
set -uo pipefail

fail() {
    echo "gpu: $1" >&2
    exit 1
}

command -v nvidia-smi >/dev/null && nvidia-smi -L >&2 ||
    fail "no NVIDIA GPU answers here: nvidia-smi does not run. Install the driver (580 or newer), or go to a machine with one."

folder=${VIGIL_DATA_DIR:-.vigil}/gpu
mkdir -p "$folder" || fail "$folder cannot be made; set VIGIL_DATA_DIR."
python=${VIGIL_GPU_PYTHON:-$folder/bin/python}
if [ -z "${VIGIL_GPU_PYTHON:-}" ] && ! [ "$folder/.installed" -nt requirements/edge-gpu.txt ]; then
    echo "gpu: installing the Python packages into $folder" >&2
    base=$(bash local/setup/find-python.sh) || exit 1
    "$base" -m venv "$folder" ||
        fail "$base cannot make $folder. Install its venv module, or run 'make gpu PYTHON=/path/to/python3.11'."
    pip=("$python" -m pip --disable-pip-version-check --quiet)
    # Both runtimes fill the same folder: the CPU's goes before the GPU's comes.
    "${pip[@]}" install --require-hashes -r requirements/dev.txt >&2 &&
        "${pip[@]}" uninstall --yes onnxruntime >&2 &&
        "${pip[@]}" install --require-hashes -r requirements/edge-gpu.txt >&2 &&
        touch "$folder/.installed" ||
        fail "the packages cannot be installed; with no network, name a Python that has them: VIGIL_GPU_PYTHON."
fi

detect() {
    "$python" -m bench.detect --engines "$folder/engines" --decode-seconds 0 "$@"
}

failed=0
"$python" -m pytest -q --noconftest -p no:cacheprovider tests/unit/vision/test_on_gpu.py >&2 || failed=1
detect --provider cuda || failed=1
detect --provider tensorrt && detect --provider tensorrt ||
    echo "gpu: TensorRT was not measured (see above); it has to be installed by itself." >&2
detect --provider cpu --threads "$(nproc)" || failed=1
exit "$failed"
