//! What recording does with every byte: RTP packets to access units, these to MPEG-TS.
//!
//! No rule is in here. `edge_bridge/rtsp/h26x_depacketizer.py` and `media/mpegts_muxer.py` are the
//! reference and do all that is unusual. See docs/design/native.md.

#![deny(unsafe_code)]

use pyo3::prelude::*;

mod access_units;
mod transport_stream;

#[pymodule]
fn _extension(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<access_units::AccessUnitScanner>()?;
    module.add_class::<transport_stream::TransportStreamWriter>()?;
    Ok(())
}
