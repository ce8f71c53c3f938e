#![no_main]

use hashsweep_image_fuzz::{Base, base_within, read_lvm};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

static BASE: OnceLock<Arc<Base>> = OnceLock::new();

/// The first physical volume and its area of metadata.
const START: usize = 1 << 20;
const AREA: usize = START + 4096;

fuzz_target!(|data: &[u8]| {
    let base = base_within(&BASE, include_bytes!("../bases/lvm.gz"), START..START + (128 << 10));
    read_lvm(base, data, START, AREA);
});
