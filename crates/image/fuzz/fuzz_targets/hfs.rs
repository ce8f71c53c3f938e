#![no_main]

use hashsweep_image_fuzz::{base, read};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static BASE: OnceLock<std::sync::Arc<hashsweep_image_fuzz::Base>> = OnceLock::new();

fuzz_target!(|data: &[u8]| read(base(&BASE, include_bytes!("../bases/hfs.gz")), data));
