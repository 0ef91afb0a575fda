"""The inference server: the protocol, pictures, overload, deadlines, quotas and bad input."""

import asyncio
import json
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import onnxruntime as ort
import pytest
import pytest_asyncio

from inference.engine import InferenceEngine, InferRequest, Priority
from inference.errors import DeadlineError, InvalidTensorError, OverloadedError, UnknownModelError
from inference.oip_engine import OipEngine
from tests.integration.inference_server_support import YOLOV8, picture, serving, tensor, write_model
from tests.unit.vision import models

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the models."""
    return tmp_path_factory.mktemp("models")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(folder: Path) -> AsyncIterator[str]:
    """Serve the model `sees`."""
    async with serving(write_model(folder, "sees")) as address:
        yield address


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(url: str) -> AsyncIterator[InferenceEngine]:
    """Return an engine that asks our own server, as it would ask Triton."""
    client = OipEngine(url)
    await client.load()
    yield client
    await client.close()


async def test_the_answer_is_onnx_runtime_s(engine: InferenceEngine, folder: Path) -> None:
    session = ort.InferenceSession(str(folder / "sees" / "model.onnx"))
    rows = np.random.default_rng(1).random((3, 3, 64, 64), np.float32)
    print("seed 1")
    [expected] = session.run(["output0"], {"images": rows})
    answer = await engine.infer(InferRequest("sees", {"images": rows}))
    np.testing.assert_allclose(answer["output0"], expected, rtol=1e-5)


async def test_metadata_says_what_the_model_takes(engine: InferenceEngine) -> None:
    metadata = await engine.metadata("sees")
    [taken] = metadata.inputs
    assert (taken.name, taken.datatype, taken.shape) == ("images", "FP32", (-1, 3, 64, 64))
    assert metadata.version == "1"
    assert await engine.ready("sees")
    assert await engine.ready("sees", "1")


async def test_each_of_many_requests_gets_its_own_answer(engine: InferenceEngine) -> None:
    async def ask(number: int) -> float:
        answer = await engine.infer(
            InferRequest(
                "sees", {"images": tensor(number / 100)}, priority=Priority(number % 3 + 1)
            )
        )
        return float(answer["output0"][0, 4, 0])

    found = await asyncio.gather(*(ask(number) for number in range(60)))
    np.testing.assert_allclose(found, [number / 100 for number in range(60)], atol=1e-5)


@pytest.mark.parametrize(
    ("request_", "error", "says"),
    [
        (InferRequest("blind", {"images": tensor(0)}), UnknownModelError, "no model 'blind'"),
        (InferRequest("sees", {"images": tensor(0)}, version="9"), UnknownModelError, "'9'"),
        (InferRequest("sees", {"image": tensor(0)}), InvalidTensorError, "has the inputs images"),
        (InferRequest("sees", {"images": tensor(0)[0]}), InvalidTensorError, "the request gives"),
        (InferRequest("sees", {"images": tensor(0)[:, :, :9]}), InvalidTensorError, "64, 64"),
        (InferRequest("sees", {"images": tensor(0).astype("f8")}), InvalidTensorError, "FP32"),
        (InferRequest("sees", {"images": tensor(0)[:0]}), InvalidTensorError, "1 to"),
        (InferRequest("sees", {"images": tensor(0, 33)}), InvalidTensorError, "1 to 32 rows"),
        (InferRequest("sees", {"images": tensor(0)}, outputs=("z",)), InvalidTensorError, "'z'"),
    ],
)
async def test_a_request_that_does_not_fit_is_refused_by_both_sides(
    engine: InferenceEngine, url: str, request_: InferRequest, error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as caught:
        await engine.infer(request_)
    assert says in str(caught.value)


async def test_the_server_checks_what_a_client_did_not(url: str) -> None:
    body = {"inputs": [{"name": "images", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    async with aiohttp.ClientSession(url) as session:
        async with session.post("/v2/models/sees/infer", json=body) as response:
            assert response.status == 400
            assert "has the shape [-1, 3, 64, 64]" in (await response.json())["error"]
        async with session.post("/v2/models/none/infer", json=body) as response:
            assert response.status == 404
        async with session.get("/v2/models/none") as response:
            assert response.status == 404
        async with session.get("/v2/models/sees/versions/1/ready") as response:
            assert response.status == 200


async def test_a_picture_gives_its_objects(url: str) -> None:
    async with (
        aiohttp.ClientSession(url) as session,
        session.post(
            "/v1/inference/pictures", params={"model": "sees"}, data=picture(26, 51, 230, (128, 96))
        ) as response,
    ):
        assert response.status == 200
        found = await response.json()
    assert (found["width"], found["height"], found["model_version"]) == (128, 96, "1")
    [best, *_] = found["objects"]
    # Its scores are the means of red, green and blue in the letterbox; red is the person.
    assert best["label"] == "person"
    assert best["score"] > 0.5
    x, y, width, height = best["box"]
    assert (x + width / 2, y + height / 2) == (pytest.approx(0.5), pytest.approx(0.5))


def png_of(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GIF89a" + bytes(100), id="another format"),
        pytest.param(picture(1, 2, 3)[:60], id="cut off"),
        pytest.param(b"\xff\xd8\xff" + bytes(range(256)) * 40, id="noise"),
        pytest.param(png_of(65_535, 65_535), id="65,535 x 65,535 pixels"),
        pytest.param(png_of(65_535, 700), id="65,535 pixels wide, without pixels"),
    ],
)
async def test_a_picture_that_is_none_is_refused_and_the_next_is_analysed(
    url: str, body: bytes
) -> None:
    async with aiohttp.ClientSession(url) as session:
        async with session.post("/v1/inference/pictures", data=body) as response:
            assert response.status == 400, await response.text()
            assert "cannot be used" in (await response.json())["error"]
        async with session.post("/v1/inference/pictures", data=picture(0, 0, 255)) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    "query", [{"model": "none"}, {"priority": "urgent"}, {"timeout_ms": "0"}, {"timeout_ms": "x"}]
)
async def test_a_wrong_query_is_refused(url: str, query: dict[str, str]) -> None:
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/v1/inference/pictures", params=query, data=picture(0, 0, 0)) as response,
    ):
        assert response.status in {400, 404}


async def test_a_body_above_the_limit_is_refused(folder: Path) -> None:
    async with (
        serving(write_model(folder, "small-bodies"), max_body_mib=1) as address,
        aiohttp.ClientSession(address) as session,
        session.post("/v1/inference/pictures", data=bytes(2 << 20)) as response,
    ):
        assert response.status == 413


async def test_a_tenant_over_its_quota_waits_and_others_do_not(folder: Path) -> None:
    card = write_model(folder, "quota")
    async with (
        serving(card, tenant_pictures_s=2) as address,
        aiohttp.ClientSession(address) as session,
    ):

        async def status(tenant: str) -> tuple[int, str | None]:
            async with session.post(
                "/v1/inference/pictures",
                data=picture(0, 0, 255),
                headers={"X-Vigil-Tenant": tenant},
            ) as response:
                return response.status, response.headers.get("Retry-After")

        answers = [await status("acme") for _ in range(12)]
        assert (200, None) in answers
        assert (429, "1") in answers
        assert await status("other") == (200, None)
        assert (await status("No Tenant"))[0] == 400


async def test_only_who_has_the_token_may_ask(folder: Path) -> None:
    card = write_model(folder, "token")
    async with serving(card, token="right") as address, aiohttp.ClientSession(address) as session:
        for shown in (None, "Bearer wrong", "Basic right", "Bearer right "):
            headers = {"Authorization": shown} if shown else {}
            async with session.get("/v2/models/token", headers=headers) as response:
                assert response.status == (200 if shown == "Bearer right " else 401), shown
        for probe in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"):
            async with session.get(probe) as response:
                assert response.status == 200
        client = OipEngine(address, token="right")
        await client.load()
        assert (await client.infer(InferRequest("token", {"images": tensor(0.5)})))["output0"].any()
        await client.close()


BAD = tensor(2)
"""The model that hangs does so at this picture."""


def hanging(folder: Path, name: str) -> Path:
    """Write a model that computes for ever at values above 1.5."""
    (folder / name).mkdir()
    models.write_hanging(folder / name / "model.onnx", above=1.5)
    spec = {"width": models.WIDTH, "height": models.HEIGHT, "scale": 1 / 255}
    return models.write_card(folder / name, YOLOV8, name=name, input=spec)


async def test_a_full_queue_says_when_to_come_back_and_a_late_answer_is_none(
    folder: Path,
) -> None:
    def request(timeout_s: float, priority: Priority = Priority.INTERACTIVE) -> InferRequest:
        return InferRequest("hangs", {"images": BAD}, timeout_s=timeout_s, priority=priority)

    async with serving(hanging(folder, "hangs"), runners=1) as address:
        client = OipEngine(address)
        await client.load()
        # The first ones take both slots of the process and never end. Then the queue fills up.
        waiting: list[asyncio.Task[object]] = []
        while not (refused := [task for task in waiting if task.done()]):
            waiting.append(asyncio.create_task(client.infer(request(60))))
            await asyncio.wait(waiting[-1:], timeout=0.02)
        with pytest.raises(OverloadedError, match="pictures waiting") as caught:
            await refused[0]
        assert caught.value.retry_after_s >= 1
        with pytest.raises(DeadlineError):  # another class has places of its own
            await client.infer(request(0.05, Priority.LIVE))
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # Those that were cancelled have left the queue: there is a place again.
        is_late = False
        while not is_late:
            try:
                await client.infer(request(0.05))
            except OverloadedError:
                continue
            except DeadlineError:
                is_late = True
        await client.close()


async def test_a_card_that_lies_is_refused_at_the_start(folder: Path) -> None:
    lies: list[tuple[str, dict[str, Any], str]] = [  # name, changed keys of the card, the sentence
        ("lie-size", {"input": {"width": 32, "height": 64}}, "the model takes FP32"),
        ("lie-type", {"input": {"width": 64, "height": 64, "dtype": "uint8"}}, "the card says"),
        ("lie-output", {"output": {"layout": "yolov8", "transposed": True}}, "expects"),
        ("lie-layout", {"output": {"layout": "detr", "form": "raw"}}, "expects the output"),
    ]
    for name, changes, says in lies:
        card = write_model(folder, name, **changes)
        with pytest.raises(Exception, match=says):
            async with serving(card):
                raise AssertionError("it must not start")


async def test_the_log_of_metrics_names_what_happened(url: str) -> None:
    async with aiohttp.ClientSession(url) as session:
        async with session.post("/v1/inference/pictures", data=picture(0, 0, 255)) as response:
            json.loads(await response.text())
        async with session.get("/metrics") as response:
            text = await response.text()
    assert 'vigil_inference_requests_total{model="sees",outcome="done",tenant=""}' in text
    assert 'vigil_inference_model_ready{model="sees",version="1"} 1.0' in text
    assert 'model="none"' not in text, "a stranger's word became a label"
