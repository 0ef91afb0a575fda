//! RTP packets, interleaved in the RTSP connection, to access units: the usual case only.
//!
//! Usual is: packets in sequence, of one source, without extensions; slices that are whole, as NAL
//! units or as fragments with start and end; a marker on the last packet of an access unit and
//! nowhere else. Whatever is not usual is left where it is, for the depacketizer in Python.

use pyo3::buffer::{PyBuffer, ReadOnlyCell};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const DOLLAR: u8 = 0x24;
/// The interleaved header and the RTP header after it.
const HEADERS: usize = 4 + 12;
const NO_EXTENSIONS: u8 = 0x80;
const MARKER: u8 = 0x80;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

type Bytes<'a> = &'a [ReadOnlyCell<u8>];
/// RTP timestamp, data in Annex B form, whether it is a keyframe.
type Unit<'py> = (u32, Bound<'py, PyBytes>, bool);

/// Reads the packets of one stream. It has no state: each call says where the stream is.
#[pyclass(frozen)]
pub struct AccessUnitScanner {
    channel: u8,
    header_size: usize,
    fragmentation: u8,
    slices: u64,
    irap: u64,
    others: u64,
    skipped: u64,
    sei: u8,
}

struct Packet {
    number: u16,
    timestamp: u32,
    is_last: bool,
    start: usize,
    end: usize,
}

/// A part of an access unit: bytes that begin a NAL unit, then bytes of the buffer.
struct Part {
    head: [u8; 6],
    head_size: usize,
    start: usize,
    end: usize,
}

#[pymethods]
#[allow(clippy::too_many_arguments)] // the stream's state is the caller's
impl AccessUnitScanner {
    /// `slices`, `irap`, `others`, `skipped`: a bit for each type of NAL unit. `others` are units
    /// that do not matter to recording, if no start code is in them. Packets of type `skipped` say
    /// nothing about where an access unit ends. `sei`: the type, if one may hold a recovery point.
    #[new]
    fn new(
        channel: u8,
        header_size: usize,
        fragmentation: u8,
        slices: u64,
        irap: u64,
        others: u64,
        skipped: u64,
        sei: Option<u8>,
    ) -> PyResult<Self> {
        if !(1..=2).contains(&header_size) {
            return Err(PyValueError::new_err("a NAL unit header has 1 or 2 bytes"));
        }
        let sei = sei.unwrap_or(u8::MAX);
        Ok(Self { channel, header_size, fragmentation, slices, irap, others, skipped, sei })
    }

    /// Read the complete usual access units that begin at `at`.
    ///
    /// An access unit is complete if a packet with another timestamp follows. Returns where the
    /// first packet begins that was not read, its timestamp, the number of packets that were read,
    /// and the access units.
    fn scan<'py>(
        &self,
        py: Python<'py>,
        data: PyBuffer<u8>,
        at: usize,
        end: usize,
        payload_type: u8,
        ssrc: u32,
        first_number: u16,
        open_timestamp: u32,
    ) -> PyResult<(usize, u32, usize, Vec<Unit<'py>>)> {
        let data = cells(py, &data, end)?;
        let mut units = Vec::new();
        let mut parts = Vec::new();
        let (mut at, mut number, mut packets) = (at, first_number, 0);
        let (mut before, mut next) = (open_timestamp, open_timestamp);
        let source = (payload_type, ssrc);
        while let Some(found) = self.access_unit(data, at, number, source, before, &mut parts) {
            let bytes = joined(py, data, &parts)?;
            units.push((found.timestamp, bytes, found.is_keyframe));
            at = found.end;
            number = number.wrapping_add(found.packets);
            packets += usize::from(found.packets);
            before = found.timestamp;
            next = found.next_timestamp;
        }
        Ok((at, next, packets, units))
    }

    /// Read middle fragments of a NAL unit, whose payload begins with `prefix`.
    ///
    /// Returns where the first other packet begins, their number, and what they hold.
    fn middle_fragments<'py>(
        &self,
        py: Python<'py>,
        data: PyBuffer<u8>,
        at: usize,
        end: usize,
        payload_type: u8,
        ssrc: u32,
        first_number: u16,
        timestamp: u32,
        prefix: &[u8],
    ) -> PyResult<(usize, usize, Bound<'py, PyBytes>)> {
        let data = cells(py, &data, end)?;
        let mut parts = Vec::new();
        let (mut at, mut number) = (at, first_number);
        while let Some(packet) = self.packet(data, at, (payload_type, ssrc)) {
            let payload = &data[packet.start..packet.end];
            let usual = packet.number == number
                && packet.timestamp == timestamp
                && !packet.is_last
                && payload.len() >= prefix.len()
                && payload.iter().zip(prefix).all(|(one, other)| one.get() == *other);
            if !usual {
                break;
            }
            parts.push(Part::rest(packet.start + prefix.len(), packet.end));
            number = number.wrapping_add(1);
            at = packet.end;
        }
        Ok((at, parts.len(), joined(py, data, &parts)?))
    }
}

struct Found {
    timestamp: u32,
    is_keyframe: bool,
    /// Where the packet begins that follows, and its timestamp.
    end: usize,
    next_timestamp: u32,
    packets: u16,
}

impl AccessUnitScanner {
    /// Read one access unit into `parts`; None if it is unusual or not complete.
    fn access_unit(
        &self,
        data: Bytes,
        mut at: usize,
        mut number: u16,
        source: (u8, u32),
        before: u32,
        parts: &mut Vec<Part>,
    ) -> Option<Found> {
        parts.clear();
        let first = self.packet(data, at, source)?;
        let timestamp = first.timestamp;
        if timestamp == before {
            return None;
        }
        let (mut packets, mut is_keyframe, mut marked) = (0_u16, false, false);
        let mut has_slices = false;
        // The FU header of the NAL unit whose fragments are read, without its bits.
        let mut fragments: Option<u8> = None;
        loop {
            let packet = self.packet(data, at, source)?;
            if packet.number != number {
                return None;
            }
            if packet.timestamp != timestamp {
                let follows = !has(self.skipped, self.kind(data[packet.start].get()));
                let complete = marked && has_slices && fragments.is_none() && follows;
                return complete.then_some(Found {
                    timestamp,
                    is_keyframe,
                    end: at,
                    next_timestamp: packet.timestamp,
                    packets,
                });
            }
            if marked {
                return None;
            }
            let header = self.header_size;
            let payload = &data[packet.start..packet.end];
            if payload.len() <= header || (payload[0].get() == 0 && payload[1].get() == 0) {
                return None;
            }
            let kind = self.kind(payload[0].get());
            if kind == self.fragmentation {
                if payload.len() <= header + 1 {
                    return None;
                }
                let fu = payload[header].get();
                let first = payload[0].get();
                let head = if header == 2 {
                    [first & 0x81 | (fu & 0x3F) << 1, payload[1].get()]
                } else {
                    [first & 0xE0 | fu & 0x1F, 0]
                };
                let unit = self.kind(head[0]);
                let start = packet.start + header + 1;
                match (fu & 0x80 != 0, fragments) {
                    (true, None) if has(self.slices, unit) && fu & 0x40 == 0 => {
                        parts.push(Part::unit(&head[..header], start, packet.end));
                        is_keyframe |= has(self.irap, unit);
                        has_slices = true;
                        fragments = Some(fu & 0x3F);
                    }
                    (false, Some(same)) if fu & 0x3F == same => {
                        parts.push(Part::rest(start, packet.end));
                        if fu & 0x40 != 0 {
                            fragments = None;
                        }
                    }
                    _ => return None,
                }
            } else if fragments.is_none()
                && (has(self.slices, kind) || self.is_other(kind, payload))
            {
                parts.push(Part::unit(&[], packet.start, packet.end));
                is_keyframe |= has(self.irap, kind);
                has_slices |= has(self.slices, kind);
            } else {
                return None;
            }
            marked = packet.is_last;
            number = number.wrapping_add(1);
            packets = packets.checked_add(1)?;
            at = packet.end;
        }
    }

    /// Return the packet at `at` if it is whole, of the source, and without extensions.
    fn packet(&self, data: Bytes, at: usize, (payload_type, ssrc): (u8, u32)) -> Option<Packet> {
        let packet = self.any_packet(data, at, payload_type)?;
        (long(data, at + 12) == ssrc).then_some(packet)
    }

    fn any_packet(&self, data: Bytes, at: usize, payload_type: u8) -> Option<Packet> {
        if data.len() < at + HEADERS {
            return None;
        }
        let end = at + 4 + usize::from(short(data, at + 2));
        let second = data[at + 5].get();
        let usual = data[at].get() == DOLLAR
            && data[at + 1].get() == self.channel
            && data[at + 4].get() == NO_EXTENSIONS
            && second & !MARKER == payload_type
            && end <= data.len()
            && end > at + HEADERS;
        usual.then(|| Packet {
            number: short(data, at + 6),
            timestamp: long(data, at + 8),
            is_last: second & MARKER != 0,
            start: at + HEADERS,
            end,
        })
    }

    fn kind(&self, first: u8) -> u8 {
        if self.header_size == 2 {
            first >> 1 & 0x3F
        } else {
            first & 0x1F
        }
    }

    fn is_other(&self, kind: u8, unit: Bytes) -> bool {
        has(self.others, kind)
            && !(kind == self.sei && has_recovery_point(unit))
            && !unit
                .windows(3)
                .any(|three| three[0].get() == 0 && three[1].get() == 0 && three[2].get() == 1)
    }
}

fn has(types: u64, kind: u8) -> bool {
    types >> kind & 1 != 0
}

/// Return whether an SEI unit of H.264 may hold a recovery point (H.264, 7.3.2.3.1).
fn has_recovery_point(unit: Bytes) -> bool {
    let mut at = 1;
    while at + 2 < unit.len() {
        let kind = sei_number(unit, &mut at);
        let size = sei_number(unit, &mut at);
        if kind == 6 {
            return true;
        }
        at += size;
    }
    false
}

fn sei_number(unit: Bytes, at: &mut usize) -> usize {
    let mut number = 0;
    while unit.get(*at).is_some_and(|byte| byte.get() == 0xFF) {
        number += 255;
        *at += 1;
    }
    number += unit.get(*at).map_or(0, |byte| usize::from(byte.get()));
    *at += 1;
    number
}

impl Part {
    fn unit(header: &[u8], start: usize, end: usize) -> Self {
        let mut head = [0; 6];
        head[..4].copy_from_slice(&START_CODE);
        head[4..4 + header.len()].copy_from_slice(header);
        Self { head, head_size: 4 + header.len(), start, end }
    }

    fn rest(start: usize, end: usize) -> Self {
        Self { head: [0; 6], head_size: 0, start, end }
    }
}

/// Return the first `end` bytes of a buffer. Nothing writes to it during the call: we hold the GIL.
fn cells<'a>(py: Python<'a>, data: &'a PyBuffer<u8>, end: usize) -> PyResult<Bytes<'a>> {
    let all = data.as_slice(py).and_then(|all| all.get(..end));
    all.ok_or_else(|| PyValueError::new_err("the buffer is not contiguous or too short"))
}

fn joined<'py>(py: Python<'py>, data: Bytes, parts: &[Part]) -> PyResult<Bound<'py, PyBytes>> {
    let size = parts.iter().map(|part| part.head_size + part.end - part.start).sum();
    PyBytes::new_with(py, size, |mut out| {
        for part in parts {
            let (head, rest) = out.split_at_mut(part.head_size);
            head.copy_from_slice(&part.head[..part.head_size]);
            let (body, rest) = rest.split_at_mut(part.end - part.start);
            for (to, from) in body.iter_mut().zip(&data[part.start..part.end]) {
                *to = from.get();
            }
            out = rest;
        }
        Ok(())
    })
}

fn short(data: Bytes, at: usize) -> u16 {
    u16::from_be_bytes([data[at].get(), data[at + 1].get()])
}

fn long(data: Bytes, at: usize) -> u32 {
    u32::from(short(data, at)) << 16 | u32::from(short(data, at + 2))
}
