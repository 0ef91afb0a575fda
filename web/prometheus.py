"""Asks Prometheus, for the page of the installation's status."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import aiohttp

from domain.errors import StoreError
from stores.tls import certificate_error_text

TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4 << 20


class Sample(NamedTuple):
    """One series of an answer, and its value now."""

    labels: Mapping[str, str]
    value: float


async def ask(session: aiohttp.ClientSession, url: str, query: str) -> list[Sample]:
    """Return what a query answers, without values that are no number.

    Raises StoreError where Prometheus does not answer, or refuses the query.
    """
    address = f"{url.rstrip('/')}/api/v1/query"
    try:
        async with session.get(
            address,
            params={"query": query},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            allow_redirects=False,
        ) as answer:
            if answer.status != 200:
                raise StoreError(f"Prometheus answers {answer.status} to {query!r}.")
            if (answer.content_length or 0) > MAX_ANSWER_BYTES:
                raise StoreError(f"Prometheus answers too much to {query!r}.")
            found = (await answer.json(content_type=None))["data"]["result"]
            samples = [Sample(each["metric"], float(each["value"][1])) for each in found]
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        wrong = certificate_error_text(error)
        raise StoreError(
            f"Prometheus cannot be trusted: {wrong}. Check VIGIL_PROMETHEUS_CA_FILE."
            if wrong
            else "Prometheus does not answer. Check VIGIL_PROMETHEUS_URL."
        ) from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"Prometheus's answer to {query!r} cannot be read.") from error
    return [sample for sample in samples if math.isfinite(sample.value)]
