#![no_main]

use hashsweep_image::open;
use hashsweep_image_fuzz::{Base, base, read_disk};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, OnceLock};

static BASE: OnceLock<Arc<Base>> = OnceLock::new();

// A container is opened by its path: a file in memory, one for each process.
fuzz_target!(|data: &[u8]| {
    let base = base(&BASE, include_bytes!("../bases/ewf.gz"));
    let mut bytes = base.bytes.clone();
    for (at, byte) in base.replacements(data) {
        bytes[at] = byte;
    }
    let path = std::path::PathBuf::from(format!("/dev/shm/hashsweep-fuzz-{}.E01", std::process::id()));
    std::fs::write(&path, bytes).expect("a file in memory can be written");
    if let Ok(container) = open(&path) {
        read_disk(&container);
    }
    let _ = std::fs::remove_file(&path);
});
