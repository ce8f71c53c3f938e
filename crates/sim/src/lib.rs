//! The other side of the wire: a faithful simulator with its own meter.
