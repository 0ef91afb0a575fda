"""Which id of a load balancer is taken, and what has it while a request is answered."""

import asyncio
import logging

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from streams import logs
from streams.request_context import answering, current_request_id
from web.problems import bad_request, problem_response
from web.request_id import given_id, new_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
UUID = "018f3e6a-1b2c-7d3e-8f4a-5b6c7d8e9f0a"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("X-Request-Id", TRACE)], TRACE),
        ([("X-Request-Id", UUID.upper())], UUID),
        ([("X-Request-Id", TRACE[:16])], TRACE[:16]),
        ([("X-Request-Id", TRACE[:15])], None),
        ([("X-Request-Id", TRACE + "0")], None),
        ([("X-Request-Id", "x\ny=1")], None),
        ([("X-Request-Id", "level=error " + TRACE)], None),
        ([("X-Request-Id", TRACE), ("X-Request-Id", TRACE)], None),
        ([("traceparent", f"00-{TRACE}-{SPAN}-01")], TRACE),
        ([("traceparent", f"00-{TRACE}-{SPAN}-01-more")], None),
        ([("traceparent", f"01-{TRACE}-{SPAN}-01-more")], TRACE),
        ([("traceparent", f"01-{TRACE}-{SPAN}-01more")], None),
        ([("traceparent", f"ff-{TRACE}-{SPAN}-01")], None),
        ([("traceparent", f"00-{TRACE.upper()}-{SPAN}-01")], None),
        ([("traceparent", f"00-{'0' * 32}-{SPAN}-01")], None),
        ([("traceparent", f"00-{TRACE}-{'0' * 16}-01")], None),
        ([("X-Amzn-Trace-Id", f"Root=1-{TRACE[:8]}-{TRACE[8:]}")], TRACE),
        ([("X-Amzn-Trace-Id", f"Self=1-0-a;Root=1-{TRACE[:8]}-{TRACE[8:]};Sampled=1")], TRACE),
        ([("X-Amzn-Trace-Id", f"Root=2-{TRACE[:8]}-{TRACE[8:]}")], None),
        # The first valid one counts.
        ([("X-Request-Id", "?"), ("traceparent", f"00-{TRACE}-{SPAN}-01")], TRACE),
        ([("X-Request-Id", UUID), ("traceparent", f"00-{TRACE}-{SPAN}-01")], UUID),
        ([], None),
    ],
)
def test_only_an_id_in_an_allowed_form_is_taken(
    headers: list[tuple[str, str]], expected: str | None
) -> None:
    assert given_id(CIMultiDictProxy(CIMultiDict(headers))) == expected


def test_new_ids_are_taken_by_the_next_server() -> None:
    made = new_id()
    assert given_id(CIMultiDictProxy(CIMultiDict([("X-Request-Id", made)]))) == made


async def test_a_task_that_goes_on_after_the_answer_has_no_request() -> None:
    goes_on, ended = asyncio.Event(), asyncio.Event()

    async def task() -> tuple[str | None, str | None]:
        before = current_request_id()
        goes_on.set()
        await ended.wait()
        return before, current_request_id()

    with answering(TRACE):
        started = asyncio.create_task(task())
        await goes_on.wait()
        assert await asyncio.to_thread(current_request_id) == TRACE
    ended.set()
    assert await started == (TRACE, None)


def test_log_lines_and_problems_name_the_request() -> None:
    record = logging.getLogger("web").makeRecord("web", logging.INFO, "", 1, "slow", (), None)
    formatter = logs.LineFormatter("logfmt")
    problem = bad_request("no")
    with answering(TRACE):
        assert formatter.format(record).endswith(f"msg=slow request={TRACE}")
        assert f'"request_id": "{TRACE}"'.encode() in (problem_response(problem).body or b"")
    assert "request" not in formatter.format(record)
    assert b"request_id" not in (problem_response(problem).body or b"")
