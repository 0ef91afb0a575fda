"""Calls of NVIDIA's tritonclient, unchanged: `python triton_calls.py HOST:PORT MODEL`.

It runs in an environment of its own (tritonclient.txt), which does not have this project. It prints
a JSON object with what each call gave.
"""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


def main(address: str, model: str) -> None:
    """Call the server; print what it answered."""
    found: dict[str, object] = {}
    with triton.InferenceServerClient(address, concurrency=4) as client:
        found["live"] = client.is_server_live()
        found["ready"] = client.is_server_ready()
        found["model_ready"] = client.is_model_ready(model)
        found["version_ready"] = client.is_model_ready(model, "1")
        found["metadata"] = client.get_model_metadata(model)
        pictures = np.linspace(0, 1, 2 * 3 * 64 * 64, dtype=np.float32).reshape(2, 3, 64, 64)
        for name, binary in (("binary", True), ("json", False)):
            given = triton.InferInput("images", list(pictures.shape), "FP32")
            given.set_data_from_numpy(pictures, binary_data=binary)
            wanted = triton.InferRequestedOutput("output0", binary_data=binary)
            answer = client.infer(
                model, [given], outputs=[wanted], request_id="r1", priority=1, timeout=5_000_000
            )
            found[name] = answer.as_numpy("output0").tolist()
            found[f"{name}_id"] = answer.get_response()["id"]
        given = triton.InferInput("images", list(pictures.shape), "FP32")
        given.set_data_from_numpy(pictures)
        answer = client.infer(
            model, [given], request_compression_algorithm="gzip",
            response_compression_algorithm="gzip",
        )  # fmt: skip
        found["gzip"] = answer.as_numpy("output0").tolist()
        pending = [client.async_infer(model, [given]) for _ in range(8)]
        found["async"] = [one.get_result().as_numpy("output0").tolist() for one in pending]
        wrong = triton.InferInput("images", [1, 2], "FP32")
        wrong.set_data_from_numpy(np.zeros((1, 2), np.float32))
        for name, call in {
            "wrong": lambda: client.infer(model, [wrong]),
            "unknown": lambda: client.infer("none", [given]),
        }.items():
            try:
                call()
            except InferenceServerException as error:
                found[name] = [error.status(), error.message()]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
