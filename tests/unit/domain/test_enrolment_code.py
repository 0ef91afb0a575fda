"""Enrolment codes: as they are made, and as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.enrolment_code import code_hash, enrolment_code
from domain.errors import InvalidTextError

RANDOM = st.binary(min_size=13, max_size=13)


@given(RANDOM)
def test_a_code_is_read_as_people_type_it(random: bytes) -> None:
    code = enrolment_code(random)
    assert len(code) == 23
    hashed = code_hash(code)
    assert code_hash(code.lower()) == hashed
    assert code_hash(f"  {code.replace('-', ' ')}\n") == hashed
    assert code_hash(code.replace("1", "l").replace("0", "o")) == hashed


@given(RANDOM, RANDOM)
def test_codes_differ_where_their_random_bits_do(one: bytes, other: bytes) -> None:
    same = int.from_bytes(one) >> 4 == int.from_bytes(other) >> 4
    assert (enrolment_code(one) == enrolment_code(other)) == same


@pytest.mark.parametrize("text", ["", "4XK7P", "U" * 20, "é" * 20, "4" * 21, "4" * 20_000])
def test_other_texts_are_no_codes(text: str) -> None:
    with pytest.raises(InvalidTextError, match="4 groups of 5"):
        code_hash(text)
