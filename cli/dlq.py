"""`vigil dlq`: list, show, retry and drop the dead letters of Kafka and SQS."""

import argparse
import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from cli.audit_origin import cli_origin
from domain.errors import ConfigError, VigilError
from domain.printable import escaped
from domain.times import format_ms, utc_ms
from stores.catalog import Catalog
from stores.catalog.audit import write_audit
from stores.queue import Queue, QueueMessage
from streams import topics
from streams.dead_letters import DeadLetters, Letter
from streams.settings import get_settings
from streams.sqs_dead_letters import ID_PREFIX, received_messages, resolve, select
from streams.storage import admin_catalog, make_queue

QUEUE = "sqs"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `dlq list|show|retry|drop`."""
    parser = commands.add_parser("dlq", help="list, show, retry or drop dead letters")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = verbs.add_parser("list", help="list dead letters: name, source, time, reason")
    listing.add_argument("--source", metavar="TOPIC", help="only those of this topic, or sqs")
    listing.add_argument(
        "--done", action="store_true", help="include those already retried or dropped"
    )
    listing.add_argument(
        "--json", action="store_true", help="print one JSON line for each, with its bytes in base64"
    )
    listing.set_defaults(run=run_list)
    showing = verbs.add_parser("show", help="show a dead letter with its original bytes")
    showing.add_argument("id", help="its id, from `vigil dlq list`")
    showing.add_argument("--raw", action="store_true", help="print only the original bytes")
    showing.set_defaults(run=run_show)
    for did, says in (
        ("retry", "send the original bytes to their source again"),
        ("drop", "mark dead letters as dropped; nothing is sent"),
    ):
        verb = verbs.add_parser(did, help=says)
        verb.add_argument("id", nargs="*", help="their ids, from `vigil dlq list`")
        verb.add_argument(
            "--source", metavar="TOPIC", help="all dead letters of this topic, or of sqs"
        )
        verb.set_defaults(run=run_settle, did="retried" if did == "retry" else "dropped")


@dataclass(frozen=True, slots=True)
class _Stores:
    letters: DeadLetters
    dead: Queue | None
    queue: Queue | None


@asynccontextmanager
async def _stores() -> AsyncIterator[_Stores]:
    settings = get_settings()
    async with AsyncExitStack() as stack:
        letters = await stack.enter_async_context(DeadLetters(settings))
        opened = [
            await stack.enter_async_context(make_queue(settings, url)) if url else None
            for url in (settings.sqs_dead_letter_url, settings.sqs_queue_url)
        ]
        yield _Stores(letters, *opened)


def _topic(source: str | None) -> str | None:
    """Return a topic's full name. Raises ConfigError if no topic has this name."""
    if source is None or source == QUEUE:
        return source
    for topic in topics.TOPICS:
        if source in (topic.name, topic.full_name):
            return topic.full_name
    names = ", ".join(topic.name for topic in topics.TOPICS)
    raise ConfigError(f"{source!r} is not a source; choose one of {QUEUE}, {names}.")


def run_list(args: argparse.Namespace) -> int:
    """List; return 0."""
    asyncio.run(_list(_topic(args.source), done=args.done, as_json=args.json))
    return 0


async def _list(source: str | None, *, done: bool, as_json: bool) -> None:
    count = 0
    async with _stores() as stores:
        # Messages of the queue that were retried or dropped are stored in Kafka.
        letter_source = source
        if source == QUEUE:
            letter_source = stores.dead.url[-250:] if stores.dead is not None else QUEUE
        async for letter in stores.letters.letters(source=letter_source, done=done):
            count += 1
            print(json.dumps(_letter_json(letter)) if as_json else _letter_line(letter))
        if source in (None, QUEUE) and stores.dead is not None:
            async with received_messages(stores.dead) as messages:
                for message in messages:
                    count += 1
                    print(json.dumps(_message_json(message)) if as_json else _line(message))
    if not as_json:
        print(f"{count} dead letters.")


def run_show(args: argparse.Namespace) -> int:
    """Show; the original bytes are written to standard output unchanged."""
    asyncio.run(_show(args.id, raw=args.raw))
    return 0


async def _show(name: str, *, raw: bool) -> None:
    async with _stores() as stores:
        if name.startswith(ID_PREFIX):
            async with received_messages(_dead(stores)) as messages:
                (message,) = select(messages, [name])
            fields, original = _message_json(message), message.body
        else:
            (letter,) = await stores.letters.find([name])
            fields, original = _letter_json(letter), letter.original
    if not raw:
        del fields["original_base64"]
        for key, value in fields.items():
            print(escaped(f"{key}: {value}"))
        print()
        sys.stdout.flush()
    sys.stdout.buffer.write(original if raw else _without_controls(original))
    if not raw:
        print()


def run_settle(args: argparse.Namespace) -> int:
    """Retry or drop; return 1 if one of them failed."""
    if bool(args.id) == bool(args.source):
        raise ConfigError("Give ids of dead letters, or --source for all of a source; not both.")
    return asyncio.run(_settle(args.id, _topic(args.source), args.did))


async def _settle(ids: list[str], source: str | None, did: Literal["retried", "dropped"]) -> int:
    done = failed = 0
    async with _stores() as stores, admin_catalog(get_settings()) as catalog:
        async for letter in _chosen(stores, ids, source):
            if letter.mark is not None:
                print(f"{letter.id} was already {letter.mark.did}.")
                continue
            try:
                async with _audited(catalog, letter.id, did):
                    if did == "retried":
                        await stores.letters.retry(letter)
                    else:
                        await stores.letters.drop(letter)
            except ConfigError as error:
                failed += 1
                print(escaped(f"{letter.id}: {error}"), file=sys.stderr)
            else:
                done += 1
                print(f"{letter.id} {did}.")
        queue_ids = [name for name in ids if name.startswith(ID_PREFIX)]
        if queue_ids or source == QUEUE:
            dead = _dead(stores)
            async with received_messages(dead) as messages:
                chosen = select(messages, queue_ids) if queue_ids else messages
                to = stores.queue if did == "retried" else None
                if did == "retried" and to is None:
                    raise ConfigError("Set VIGIL_SQS_QUEUE_URL: a retried message is sent there.")
                for message in chosen:
                    async with _audited(catalog, f"{ID_PREFIX}{message.id}", did):
                        await resolve(dead, [message], did, stores.letters, to=to)
                    done += 1
                    print(f"{ID_PREFIX}{message.id} {did}.")
    print(f"{done} {did}" + (f", {failed} failed." if failed else "."))
    return 1 if failed else 0


@asynccontextmanager
async def _audited(catalog: Catalog, letter: str, did: str) -> AsyncIterator[None]:
    """Do what the body does only if the audit log has it; without the body's success it has not.

    Kafka takes no part in the transaction. If this program is killed between the two, the letter is
    settled without an entry, and its mark in Kafka has the time.
    """
    async with catalog.transaction() as connection:
        verb = "retry" if did == "retried" else "drop"
        entry = cli_origin().entry(utc_ms(), f"dead-letter:{verb}", f"dead-letter:{letter}")
        await write_audit(connection, entry)
        yield


async def _chosen(stores: _Stores, ids: list[str], source: str | None) -> AsyncIterator[Letter]:
    if names := [name for name in ids if not name.startswith(ID_PREFIX)]:
        for letter in await stores.letters.find(names):
            yield letter
    if source is not None and source != QUEUE:
        async for letter in stores.letters.letters(source=source):
            yield letter


def _dead(stores: _Stores) -> Queue:
    if stores.dead is None:
        raise VigilError(
            "VIGIL_SQS_DEAD_LETTER_URL is not set: set the URL of the dead-letter queue."
        )
    return stores.dead


def _without_controls(original: bytes) -> bytes:
    """Return a message without what a terminal obeys. Other bytes that are not UTF-8 stay."""
    text = original.decode(errors="surrogateescape")
    kept = "".join(c if c == "\n" or "\udca0" <= c <= "\udcff" else escaped(c) for c in text)
    return kept.encode(errors="surrogateescape")


def _letter_json(letter: Letter) -> dict[str, Any]:
    fields = letter.letter.model_dump(mode="json", exclude={"type", "version"})
    mark = letter.mark
    became = {"did": mark.did, "did_at_ms": mark.at_ms} if mark is not None else {}
    return {"id": letter.id, **became, **fields}


def _message_json(message: QueueMessage) -> dict[str, Any]:
    return {
        "id": ID_PREFIX + message.id,
        "source": QUEUE,
        "reason": message.reason,
        "signature": message.signature,
        "original_base64": base64.b64encode(message.body).decode(),
    }


def _letter_line(letter: Letter) -> str:
    details = letter.letter
    where = (
        f"{details.source} {details.partition}@{details.offset}"
        if details.offset is not None
        else QUEUE
    )
    became = f" [{letter.mark.did}]" if letter.mark is not None else ""
    line = f"{letter.id:<12} {format_ms(details.at_ms)} {where}: {details.reason}{became}"
    return escaped(line)


def _line(message: QueueMessage) -> str:
    return escaped(f"{ID_PREFIX}{message.id} {QUEUE}: {message.reason or 'unknown'}")
