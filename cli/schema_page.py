"""The reference of the events, made from their models so that it cannot be out of date."""

import json
from collections.abc import Iterator
from typing import Any

from domain.events import EVENTS
from domain.events.examples import CAMERA, EXAMPLES, RUN, START_MS
from domain.events.fragments import FragmentArrived
from domain.identity import fragment_key, run_end_key
from streams.topics import topic_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON Schema of the event `name`."""
    return {"$schema": DIALECT, **EVENTS[name].model_json_schema()}


def markdown() -> str:
    """Return the page docs/reference/events.md."""
    return "\n".join([*_opening(), *(line for name in EVENTS for line in _event(name))])


def _opening() -> Iterator[str]:
    yield "# Events"
    yield ""
    yield "<!-- Made by `vigil schema --markdown`; change domain/events, not this page. -->"
    yield ""
    yield from _CONTRACT.strip().splitlines()
    yield ""
    yield "| event | topic | Kafka key | says |"
    yield "|---|---|---|---|"
    for name, model in EVENTS.items():
        topic = topic_of(model)
        says = _first_line(model.__doc__)
        yield f"| [{name}](#{name}) | `{topic.name}` | {_key(name)} | {says} |"
    yield ""
    yield from _recorder().strip().splitlines()
    yield ""


def _event(name: str) -> Iterator[str]:
    model = EVENTS[name]
    schema = model.model_json_schema()
    yield f"## {name}"
    yield ""
    yield f"{_first_line(model.__doc__)} Topic `{topic_of(model).name}`, key: {_key(name)}."
    yield ""
    yield from _table(schema)
    for part, definition in schema.get("$defs", {}).items():
        yield f"**{part}**: {_first_line(definition.get('description'))}"
        yield ""
        yield from _table(definition)
    yield "```json"
    example = EXAMPLES[name].model_dump(mode="json", exclude_none=True)
    yield json.dumps(example, indent=2)
    yield "```"
    yield ""


def _table(schema: dict[str, Any]) -> Iterator[str]:
    required = schema.get("required", [])
    yield "| field | type | unit | bound | needed | meaning |"
    yield "|---|---|---|---|---|---|"
    for field, of in schema["properties"].items():
        needed = "yes" if field in required else f"no: {_absent(of)}"
        cells = (f"`{field}`", _type(of), _unit(of), _bound(of), needed, of["description"])
        yield "| " + " | ".join(each.replace("|", "\\|") for each in cells) + " |"
    yield ""


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _key(name: str) -> str:
    return "none, it is sent to its partition" if name == "tick" else f"`{EXAMPLES[name].key}`"


def _plain(of: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that may be null without the null."""
    some = [each for each in of.get("anyOf", [of]) if each.get("type") != "null"]
    return {**some[0], **({"unit": of["unit"]} if "unit" in of else {})}


def _type(of: dict[str, Any]) -> str:
    plain = _plain(of)
    null = " or null" if "anyOf" in of else ""
    if "$ref" in plain:
        return str(plain["$ref"]).rsplit("/", 1)[-1] + null
    if plain.get("type") == "array":
        items = plain.get("prefixItems")
        inner = f"[{', '.join(_type(each) for each in items)}]" if items else _type(plain["items"])
        return (inner if items else f"list of {inner}") + null
    return str(plain.get("type", "string")) + null


def _unit(of: dict[str, Any]) -> str:
    return str(of.get("unit") or _plain(of).get("unit") or "")


def _bound(of: dict[str, Any]) -> str:
    plain = _plain(of)
    if "const" in plain:
        return f"`{json.dumps(plain['const'])}`"
    if "enum" in plain:
        return ", ".join(f"`{each}`" for each in plain["enum"])
    said = []
    if "minimum" in plain:
        said.append(f"≥ {_number(plain['minimum'])}")
    if "maximum" in plain:
        said.append(f"≤ {_number(plain['maximum'])}")
    if "exclusiveMaximum" in plain:
        said.append(f"< {_number(plain['exclusiveMaximum'])}")
    for least, most, what in (
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", ""),
    ):
        if most in plain:
            low = plain.get(least, 0)
            count = f"{low} to {plain[most]}" if low else f"≤ {plain[most]}"
            count = str(low) if low == plain[most] else count
            said.append(f"{count} {what}".strip())
    if "pattern" in plain:
        said.append(f"`{plain['pattern']}`")
    items = plain.get("prefixItems") or ([plain["items"]] if "items" in plain else [])
    if items and "$ref" not in items[0] and (inner := _bound(items[0])):
        said.append(f"each {inner}")
    return ", ".join(said)


def _number(number: float) -> str:
    power = int(abs(number)).bit_length() - 1
    if power >= 31 and abs(number) == 1 << power:
        return f"{'-' if number < 0 else ''}2^{power}"
    return f"{number:,}".replace(",", " ") if isinstance(number, int) else f"{number:g}"


def _absent(of: dict[str, Any]) -> str:
    return f"`{json.dumps(of['default'])}`" if "default" in of else "`[]`"


_CONTRACT = """
Everything that happens is said in one of these events. They are a public contract: whoever sends
them as described here takes part, whatever it is made of.

- An event is one JSON object in UTF-8. Its `type` says which, its `version` in which form.
- A field that is not described, a wrong type, a value out of bounds, an unknown type or version:
  the message is put aside with the reason (in the topic `dead-letter`; what came from a site, in
  the dead-letter queue of SQS), and the rest goes on.
- Times are whole milliseconds since 1970 in UTC, media times are ticks of 90 kHz that do not fall
  back when the transport stream's own 33 bits wrap. Neither is ever a fraction.
- The Kafka key keeps all events of one camera in order on one partition; every topic has the same
  number of partitions. A message under another key than its event's goes to `dead-letter`.
- Events may come twice, late and in any order. Each effect has a name that follows from the event.
- `vigil schema NAME` prints the JSON Schema of one event; `unit` in it is ours and harmless.
"""


def _recorder() -> str:
    fragment = EXAMPLES["fragment-arrived"]
    assert isinstance(fragment, FragmentArrived)
    metadata = "\n".join(f"x-amz-meta-{k}: {v}" for k, v in fragment.metadata().items())
    return f"""
## How another recorder takes part

A recorder needs two things: it may PUT into the bucket, and it may send to the SQS queue. The
camera has to be registered (`vigil camera`).

1. **A run** is one unbroken capture session. Make its id, a UUIDv7 in lower case whose time is the
   run's start, and send [run-started](#run-started). After a reconnect, a restart, or when the
   camera changes codec or size, a new run begins.
2. **A fragment** is a slice of the run's transport stream: whole TS packets of 188 bytes, starting
   with PAT, PMT and a keyframe, a few seconds long. Continuity counters and time stamps go on from
   fragment to fragment, so that joining is copying. `seq` counts from 0 and leaves nothing out.
3. **PUT it** under `fragments/<camera>/<run>/<seq, 8 digits>.ts` with `If-None-Match: *` and, as
   user metadata, all that its event says but `type` and `keyframes`: names with `-` for `_`, values
   as text, absent ones left out. A 412 is success only where HEAD shows the same `sha256`; after a
   409 or 5xx, try again. Where the notice is lost, the metadata tells everything:

   ```
   PUT /{fragment_key(CAMERA, RUN, 0)}
   If-None-Match: *
{_indented(metadata, 3)}
   ```
4. **Then send the notice**, [fragment-arrived](#fragment-arrived), to the SQS queue: the message's
   body is the JSON of exactly one event, at most 256 KiB. Only when SQS has taken it may the
   recorder give up its copy. Sending twice is harmless.
5. **When the run has ended**, PUT [run-ended](#run-ended) as
   `{run_end_key(CAMERA, RUN)}`,
   then send it. `last_seq` is the last fragment made, `given_up` names those that will never come.
   After a crash this is done at the next start. Without it the last chunk waits for silence.
6. **The clock** has to be right: what says that it happened more than 5 minutes ahead of the
   cloud's clock is put aside. For example, `start_ms` {START_MS} is 2026-11-22T17:33:00Z.

From a site, only `fragment-arrived`, `run-started`, `run-ended`, `detection` and `heartbeat` are
taken.
"""


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())
