"""A chunk's manifest in S3: the event `chunk-complete`, and what devices signed of its fragments.

The signatures are in the manifest alone: no event and no row grows. So an export can prove later,
without the database, who recorded each fragment and that none is missing (domain/run_chain.py).
"""

from collections.abc import Iterable, Mapping

from pydantic import Field, ValidationError

from domain.device_identity import MAX_SIGNATURE_CHARS, SIGNATURE
from domain.events import ChunkComplete, FragmentArrived, FragmentRef, encode
from domain.events.base import EventPart, Seq


class SignedNotice(EventPart):
    """What a device signed of one fragment, byte for byte."""

    seq: Seq = Field(description="the fragment")
    notice: str = Field(
        max_length=4_000, description="the signed text: the fragment's event without keyframes"
    )
    signature: str = Field(max_length=MAX_SIGNATURE_CHARS, description="of that text")

    @property
    def event(self) -> FragmentArrived | None:
        """The event in the text; None: it is not one."""
        try:
            return FragmentArrived.model_validate_json(self.notice)
        except ValidationError:
            return None


class Manifest(ChunkComplete):
    """What is stored in S3 of a chunk."""

    signed: list[SignedNotice] = Field(
        default_factory=list,
        max_length=5_000,
        description="what a device signed of the fragments, where one did",
    )

    @staticmethod
    def of(chunk: ChunkComplete, signed: Iterable[SignedNotice]) -> "Manifest":
        """Return the manifest of a chunk, with what was signed of its own fragments."""
        seqs = {each.seq for each in chunk.fragments}
        kept = {each.seq: each for each in signed if each.seq in seqs}
        fields = {name: getattr(chunk, name) for name in ChunkComplete.model_fields}
        return Manifest.model_construct(**fields, signed=[kept[seq] for seq in sorted(kept)])

    @property
    def chunk(self) -> ChunkComplete:
        """The event without the signatures."""
        fields = {name: getattr(self, name) for name in ChunkComplete.model_fields}
        return ChunkComplete.model_construct(self.model_fields_set - {"signed"}, **fields)


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest in an object; raises pydantic's ValidationError."""
    return Manifest.model_validate_json(data)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the object's bytes. Without signatures they are those of the event."""
    return encode(manifest if manifest.signed else manifest.chunk)


def signed_notice(metadata: Mapping[str, str], fragment: FragmentRef) -> SignedNotice | None:
    """Return what the metadata of a fragment's object say was signed; None: nothing, or another.

    The signature itself is not checked.
    """
    fields = dict(metadata)
    signature = fields.pop(SIGNATURE, None)
    if signature is None or len(signature) > MAX_SIGNATURE_CHARS:
        return None
    try:
        event = FragmentArrived.from_metadata(fields)
    except ValidationError:
        return None
    if (event.seq, event.sha256) != (fragment.seq, fragment.sha256):
        return None
    return SignedNotice(seq=event.seq, notice=encode(event).decode(), signature=signature)
