//! `hashsweep_spectra::fuzzing::json_answer` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| hashsweep_spectra::fuzzing::json_answer(body));
