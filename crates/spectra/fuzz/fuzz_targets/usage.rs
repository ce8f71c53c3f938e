//! `hashsweep_spectra::fuzzing::usage` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| hashsweep_spectra::fuzzing::usage(body));
