"""Our signature and our addresses against botocore's."""

from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from stores.aws_credentials import AwsCredentials
from stores.aws_endpoint import AwsEndpoint
from stores.sigv4 import encode_path, sign

NOW_MS = 1_790_000_000_123
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
names = st.text("abcdefghij-", min_size=1, max_size=12).map(lambda name: f"x-amz-meta-{name}")
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
words = st.lists(values, min_size=1, max_size=3)
keys = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=30)


def botocores(
    service: str, method: str, url: str, headers: dict[str, str], sha256: str, token: str | None
) -> str:
    """Return the Authorization of botocore's signer."""
    request = AWSRequest(method, url, headers={**headers, "X-Amz-Content-SHA256": sha256})
    request.context["client_config"] = None
    kind = auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth
    signer = kind(Credentials(KEY, SECRET, token), service, "eu-central-1")
    moment = datetime.fromtimestamp(NOW_MS // 1000, UTC)
    with (
        patch.object(signer, "payload", lambda _: sha256),
        patch.object(auth, "get_current_datetime", lambda: moment),
    ):
        signer.add_auth(request)
    return str(request.headers["Authorization"])


@given(
    service=st.sampled_from(["s3", "sqs"]),
    method=st.sampled_from(["PUT", "GET", "HEAD", "POST"]),
    key=keys,
    metadata=st.dictionaries(names, words.map(" ".join), max_size=4),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    token=st.none() | values,
)
def test_a_request_is_signed_as_botocore_signs_it(
    service: str, method: str, key: str, metadata: dict[str, str], sha256: str, token: str | None
) -> None:
    path = encode_path("/" + key) if service == "s3" else "/"
    headers = {"Host": "bucket.example:9000", "Content-Type": "video/mp2t", **metadata}
    ours = sign(
        method, path, headers, payload_sha256=sha256,
        credentials=AwsCredentials(KEY, SECRET, token), region="eu-central-1", service=service,
        now_ms=NOW_MS,
    )  # fmt: skip
    expected = botocores(
        service, method, f"http://bucket.example:9000{path}", headers, sha256, token
    )
    assert ours["Authorization"] == expected
    assert ours["X-Amz-Date"] == "20260921T141320Z"
    assert ours.get("X-Amz-Security-Token") == token


REGIONS = sorted(
    region
    for partition in get_session().get_available_partitions()
    for region in get_session().get_available_regions("sqs", partition)
)


@pytest.mark.parametrize("service", ["s3", "sqs"])
def test_the_addresses_of_aws_are_botocores(service: str) -> None:
    assert len(REGIONS) > 30
    session = get_session()
    for region in REGIONS:
        endpoint = AwsEndpoint(region)
        client = session.create_client(
            service, region, aws_access_key_id=KEY, aws_secret_access_key=SECRET
        )
        if service == "sqs":
            assert endpoint.service_url(service) == client.meta.endpoint_url, region
            continue
        put = client.meta.service_model.operation_model("PutObject")
        for bucket in ("acme-vigil", "acme.vigil"):
            found = client._ruleset_resolver.construct_endpoint(put, {"Bucket": bucket}, {})
            expected = str(found.url)
            if region == "us-east-1":  # botocore has the old name of this one, too
                expected = expected.replace("s3.amazonaws.com", "s3.us-east-1.amazonaws.com")
            assert endpoint.bucket_url(bucket) == expected


def test_a_configured_address_has_the_bucket_in_its_path() -> None:
    endpoint = AwsEndpoint("eu-central-1", "https://store.example:9000/base/")
    assert endpoint.bucket_url("acme") == "https://store.example:9000/base/acme"
    assert endpoint.service_url("sqs") == "https://store.example:9000/base"
