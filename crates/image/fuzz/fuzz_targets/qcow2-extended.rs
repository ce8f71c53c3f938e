#![no_main]

use hashsweep_image_fuzz::{Base, base, read_file};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

static BASE: OnceLock<Arc<Base>> = OnceLock::new();

fuzz_target!(|data: &[u8]| read_file(
    &base(&BASE, include_bytes!("../bases/qcow2-extended.gz")),
    "qcow2",
    data
));
