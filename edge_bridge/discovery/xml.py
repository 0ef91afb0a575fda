"""Untrusted XML: no DTD, no entities, nothing fetched; the caller bounds the bytes.

Elements are found by their local names: cameras use any prefix, and sometimes wrong namespaces.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from domain.errors import VigilError
from domain.printable import printable


class DeviceError(VigilError):
    """A device cannot be read; the text says why and what to do, without an address."""


def parse(data: bytes) -> Element:
    """Return the root; raises DeviceError for invalid XML and for a DTD."""
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise DeviceError(
            "answers XML with a DTD, which is rejected: it may be an attack"
        ) from None
    except (ParseError, ValueError, LookupError, RecursionError):
        raise DeviceError("answers something that is not XML: check its ONVIF address") from None
    return root


def local_name(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rsplit("}", 1)[-1]


def find_all(element: Element, name: str) -> Iterator[Element]:
    """Yield all elements of this local name below `element`, itself included."""
    return (one for one in element.iter() if local_name(one) == name)


def find(element: Element, *path: str) -> Element | None:
    """Return the first element at this path of local names, at any depth, or None."""
    at: Element | None = element
    for name in path:
        if at is None:
            return None
        at = next(find_all(at, name), None)
    return at


def text_of(element: Element | None) -> str:
    """Return an element's text in one line of printable characters, at most 500."""
    return printable(element.text or "") if element is not None else ""


def number_of(element: Element | None) -> int:
    """Return an element's text as a number from 0 to 99 999; 0 for anything else."""
    digits = text_of(element)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
