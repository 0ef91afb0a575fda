"""What is written is read back, also what Faust's JSON wrote before."""

from typing import Any

from faust.serializers import codecs
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.app import DeliveryApp
from streams.settings import Settings
from tables.json_values import JsonValues
from tables.open_windows import open_windows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_values_come_back_and_old_ones_are_read(value: object) -> None:
    ours, faust = JsonValues(), codecs.get_codec("json")
    assert ours.loads(ours.dumps(value)) == value
    assert ours.loads(faust.dumps(value)) == value
    assert faust.loads(ours.dumps(value)) == value


def test_the_table_uses_it() -> None:
    app: Any = DeliveryApp("app", broker="kafka://", store="memory://")
    app.settings = Settings(partitions=4)
    assert isinstance(open_windows(app).value_serializer, JsonValues)
