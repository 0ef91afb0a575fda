//! Access units to PES and TS packets (ISO/IEC 13818-1), byte for byte as FFmpeg's muxer.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

const PACKET: usize = 188;
const SYNC: u8 = 0x47;
const VIDEO_PID: u16 = 0x100;
const VIDEO_STREAM_ID: u8 = 0xE0;
const PCR_TICKS: i64 = 300;
/// Room that is kept between two pieces.
const KEPT_BYTES: usize = 512 << 10;
const H264_AUD: [u8; 6] = [0, 0, 0, 1, 9, 0xF0];
const H265_AUD: [u8; 7] = [0, 0, 0, 1, 35 << 1, 1, 0x50];

/// Writes the video of one run. Its buffer is used again for each piece.
#[pyclass]
pub struct TransportStreamWriter {
    is_hevc: bool,
    parameter_sets: Vec<u8>,
    pcr_period: i64,
    last_pcr: i64,
    counter: u8,
    data: Vec<u8>,
}

#[pymethods]
impl TransportStreamWriter {
    /// `parameter_sets` are put before an IDR picture without any; `pcr_period` is in 27 MHz.
    #[new]
    fn new(is_hevc: bool, parameter_sets: &[u8], pcr_period: i64) -> Self {
        Self {
            is_hevc,
            parameter_sets: parameter_sets.to_vec(),
            pcr_period,
            last_pcr: -pcr_period,
            counter: 15,
            data: Vec::new(),
        }
    }

    /// Append whole packets as they are, such as tables.
    fn append(&mut self, packets: &[u8]) {
        self.data.extend_from_slice(packets);
    }

    /// Append an access unit in Annex B form; return how many bytes were written.
    fn write(&mut self, unit: &[u8], pts: i64, dts: i64, keyframe: bool) -> PyResult<usize> {
        if unit.is_empty() || pts < dts || dts < 0 {
            return Err(PyValueError::new_err("an access unit without data or with wrong times"));
        }
        let before = self.data.len();
        let pcr = dts * PCR_TICKS;
        let mut writes_pcr = keyframe;
        if pcr - self.last_pcr >= self.pcr_period {
            self.last_pcr = (pcr - self.pcr_period).max(self.last_pcr + self.pcr_period);
            writes_pcr = true;
        }
        let parts = parts(unit, if keyframe { &self.parameter_sets } else { &[] }, self.is_hevc);
        let size = parts.iter().map(|part| part.len()).sum();
        self.data.reserve((size / (PACKET - 4) + 2) * PACKET);
        let mut head = Head::new(self.counter);
        head.begin(keyframe, writes_pcr.then_some(pcr));
        head.pes(pts, dts);
        let mut part = 0;
        let mut at = 0;
        let mut left = size;
        loop {
            let mut room = head.finish(left, &mut self.data);
            left -= room;
            while room > 0 {
                let piece = &parts[part][at..];
                let count = piece.len().min(room);
                self.data.extend_from_slice(&piece[..count]);
                room -= count;
                at += count;
                if at == parts[part].len() {
                    part += 1;
                    at = 0;
                }
            }
            self.counter = head.counter;
            if left == 0 {
                return Ok(self.data.len() - before);
            }
            head = Head::new(self.counter);
        }
    }

    /// Return what was written since the last call.
    fn take<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let taken = PyBytes::new(py, &self.data);
        self.data.clear();
        self.data.shrink_to(KEPT_BYTES);
        taken
    }

    fn __len__(&self) -> usize {
        self.data.len()
    }
}

/// Return what to write of an access unit, in order. It begins with an access unit delimiter, and
/// an IDR picture without parameter sets gets `sets` after it.
fn parts<'a>(unit: &'a [u8], mut sets: &'a [u8], is_hevc: bool) -> [&'a [u8]; 5] {
    let mut codes = StartCodes::new(unit);
    if is_hevc {
        let mut kind;
        loop {
            kind = codes.next() >> 1 & 0x3F;
            if kind == 32 {
                sets = &[];
            }
            if codes.ended() || kind == 35 || kind < 32 {
                break;
            }
        }
        if !(16..24).contains(&kind) {
            sets = &[];
        }
        return [if kind == 35 { &[] } else { &H265_AUD }, &[], sets, unit, &[]];
    }
    let mut kind;
    let mut delimiter = None;
    loop {
        kind = codes.next() & 0x1F;
        if kind == 7 {
            sets = &[];
        }
        if kind == 9 {
            // The start code of 3 bytes, the header and one byte more.
            delimiter = Some((codes.at.saturating_sub(4), (codes.at + 1).min(unit.len())));
        }
        if codes.ended() || kind == 5 || kind == 1 || (sets.is_empty() && delimiter.is_some()) {
            break;
        }
    }
    if kind != 5 {
        sets = &[];
    }
    match delimiter {
        Some((start, end)) if !sets.is_empty() => {
            [&[0], &unit[start..end], sets, &unit[..start], &unit[end..]]
        }
        Some(_) => [&[], &[], &[], unit, &[]],
        None => [&H264_AUD, &[], sets, unit, &[]],
    }
}

/// Finds start codes as FFmpeg does (avpriv_find_start_code).
struct StartCodes<'a> {
    data: &'a [u8],
    at: usize,
    state: u32,
}

impl<'a> StartCodes<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, state: u32::MAX }
    }

    fn ended(&self) -> bool {
        self.at >= self.data.len()
    }

    /// Return the byte after the next start code, or the last byte.
    fn next(&mut self) -> u8 {
        let data = self.data;
        for _ in 0..3 {
            if self.ended() {
                return self.state as u8;
            }
            let before = self.state << 8;
            self.state = before | u32::from(data[self.at]);
            self.at += 1;
            if before == 0x100 || self.ended() {
                return self.state as u8;
            }
        }
        let mut at = self.at;
        while at < data.len() {
            if data[at - 1] > 1 {
                at += 3;
            } else if data[at - 2] != 0 {
                at += 2;
            } else if data[at - 3] != 0 || data[at - 1] != 1 {
                at += 1;
            } else {
                at += 1;
                break;
            }
        }
        self.at = at.min(data.len());
        self.state = match data[..self.at].last_chunk::<4>() {
            Some(last) => u32::from_be_bytes(*last),
            None => self.state,
        };
        self.state as u8
    }
}

/// The header of one TS packet: adaptation field and, in the first one, the PES header.
struct Head {
    bytes: [u8; 64],
    size: usize,
    counter: u8,
}

impl Head {
    fn new(last_counter: u8) -> Self {
        let counter = (last_counter + 1) & 0x0F;
        let mut bytes = [0; 64];
        bytes[0] = SYNC;
        bytes[1] = (VIDEO_PID >> 8) as u8;
        bytes[2] = VIDEO_PID as u8;
        bytes[3] = 0x10 | counter;
        Self { bytes, size: 4, counter }
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.size..self.size + bytes.len()].copy_from_slice(bytes);
        self.size += bytes.len();
    }

    /// Begin a frame, with the random access indicator and the program clock if wanted.
    fn begin(&mut self, random_access: bool, pcr: Option<i64>) {
        self.bytes[1] |= 0x40;
        if !random_access && pcr.is_none() {
            return;
        }
        self.bytes[3] |= 0x20;
        let flags = if random_access { 0x40 } else { 0 } | if pcr.is_some() { 0x10 } else { 0 };
        match pcr {
            Some(pcr) => {
                let (high, low) = (pcr / PCR_TICKS, pcr % PCR_TICKS);
                self.put(&[7, flags]);
                self.put(&[(high >> 25) as u8, (high >> 17) as u8, (high >> 9) as u8]);
                self.put(&[(high >> 1) as u8, (high << 7 | low >> 8) as u8 | 0x7E, low as u8]);
            }
            None => self.put(&[1, flags]),
        }
    }

    fn pes(&mut self, pts: i64, dts: i64) {
        let two = pts != dts;
        let (flags, length) = if two { (0xC0, 10) } else { (0x80, 5) };
        // The packet's length is left open, as the standard allows for video.
        self.put(&[0, 0, 1, VIDEO_STREAM_ID, 0, 0]);
        self.put(&[0x80, flags, length]);
        self.put(&time(flags >> 6, pts));
        if two {
            self.put(&time(1, dts));
        }
    }

    /// Write the header, with stuffing if the payload is short; return the payload's room.
    fn finish(&self, left: usize, out: &mut Vec<u8>) -> usize {
        let room = (PACKET - self.size).min(left);
        let stuffing = PACKET - self.size - room;
        if stuffing == 0 {
            out.extend_from_slice(&self.bytes[..self.size]);
        } else if self.bytes[3] & 0x20 != 0 {
            let end = 5 + usize::from(self.bytes[4]);
            out.extend_from_slice(&self.bytes[..4]);
            out.push(self.bytes[4] + stuffing as u8);
            out.extend_from_slice(&self.bytes[5..end]);
            out.resize(out.len() + stuffing, 0xFF);
            out.extend_from_slice(&self.bytes[end..self.size]);
        } else {
            out.extend_from_slice(&[self.bytes[0], self.bytes[1], self.bytes[2]]);
            out.extend_from_slice(&[self.bytes[3] | 0x20, (stuffing - 1) as u8]);
            if stuffing >= 2 {
                out.push(0);
                out.resize(out.len() + stuffing - 2, 0xFF);
            }
            out.extend_from_slice(&self.bytes[4..self.size]);
        }
        room
    }
}

/// Return a time stamp of a PES header (13818-1, 2.4.3.7).
fn time(kind: u8, ticks: i64) -> [u8; 5] {
    let high = (kind << 4) | ((ticks >> 30 & 7) as u8 * 2) | 1;
    let middle = (ticks >> 15 & 0x7FFF) as u16 * 2 + 1;
    let low = (ticks & 0x7FFF) as u16 * 2 + 1;
    let [one, two] = middle.to_be_bytes();
    let [three, four] = low.to_be_bytes();
    [high, one, two, three, four]
}
