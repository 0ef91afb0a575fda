"""XML from strangers: no DTD, no entities, nothing fetched, bounded by the caller's bytes.

Elements are found by their local names: cameras use namespaces' prefixes, and at times wrong
namespaces, as they like.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from domain.errors import VigilError

_LONGEST_TEXT = 500


class DeviceError(VigilError):
    """A device that cannot be read; the text says why and what to do, without an address."""


def parse(data: bytes) -> Element:
    """Return the root; raises DeviceError for what is no XML, or holds a DTD."""
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise DeviceError("answers XML with a DTD, which is refused: it may be an attack") from None
    except (ParseError, ValueError, LookupError, RecursionError):
        raise DeviceError("answers what is no XML: is this its ONVIF address?") from None
    return root


def local(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]


def every(element: Element, name: str) -> Iterator[Element]:
    """Yield all elements of this local name below `element`, itself included."""
    return (one for one in element.iter() if local(one) == name)


def first(element: Element, *path: str) -> Element | None:
    """Return the first element found by going down by local names, or None."""
    at: Element | None = element
    for name in path:
        if at is None:
            return None
        at = next(every(at, name), None)
    return at


def text(element: Element | None) -> str:
    """Return an element's text in one line of printable letters, cut at 500."""
    return plain(element.text or "") if element is not None else ""


def number(element: Element | None) -> int:
    """Return an element's text as a number from 0 to 99 999; 0 for anything else."""
    said = text(element)
    return int(said) if said.isascii() and said.isdigit() and len(said) <= 5 else 0


def plain(said: str) -> str:
    """Return a stranger's text in one line, without control letters, cut at 500."""
    return "".join(c if c.isprintable() else " " for c in said[:_LONGEST_TEXT]).strip()
