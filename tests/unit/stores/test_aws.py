"""The client is aioboto3's, and finds its addresses once a bucket, the same as botocore's own."""

import json
from typing import Any

import aioboto3
import botocore.loaders
import pytest
from aiobotocore.session import get_session

from stores import aws
from stores.aws import open_client
from stores.aws_endpoint import AwsEndpoint


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


async def _address(made: Any, operation: str, arguments: dict[str, Any]) -> str:
    model = made.meta.service_model.operation_model(operation)
    found = await made._ruleset_resolver.construct_endpoint(model, arguments, {})
    return str(found.url)


def test_no_rule_names_what_is_left_out() -> None:
    rules = botocore.loaders.Loader().load_service_model("s3", "endpoint-rule-set-1")
    text = json.dumps(rules["rules"])
    assert '"ref": "Bucket"' in text
    for name in aws.ENDPOINT_NEUTRAL_PARAMETERS:
        assert name in rules["parameters"]
        assert f'"ref": "{name}"' not in text
        assert f"{{{name}" not in text


async def test_the_client_is_aioboto3s_without_what_moves_files() -> None:
    whole = aioboto3.Session().client("s3", region_name="eu-central-1")
    ours = open_client("s3", AwsEndpoint("eu-central-1"), connections=1)
    async with whole as theirs, ours as made:
        left_out = set(dir(theirs)) - set(dir(made))
        assert left_out == {
            *("upload_file", "download_file", "upload_fileobj", "download_fileobj", "copy"),
        }


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9000"])
async def test_addresses_are_botocores_and_asked_for_once(url: str | None) -> None:
    requests = [
        ("GetObject", {"Bucket": "vigil", "Key": "fragments/a/00000001.ts"}),
        ("GetObject", {"Bucket": "vigil", "Key": "fragments/a/00000002.ts"}),
        ("PutObject", {"Bucket": "vigil", "Key": "chunks/b.json"}),
        ("ListObjectsV2", {"Bucket": "vigil", "Prefix": "chunks/"}),
    ]
    plain = get_session().create_client("s3", endpoint_url=url, region_name="eu-central-1")
    ours = open_client("s3", AwsEndpoint("eu-central-1", url), connections=1)
    async with plain as expected, ours as made:
        for operation, arguments in requests:
            assert await _address(made, operation, arguments) == await _address(
                expected, operation, arguments
            )
        asked = made._ruleset_resolver._provider.resolve_endpoint.cache_info
        before = asked().misses
        for seq in range(20):
            await _address(made, "GetObject", {"Bucket": "vigil", "Key": f"fragments/{seq}.ts"})
        assert asked().misses == before
