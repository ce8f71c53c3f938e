//! `hashsweep_spectra::fuzzing::xml_answer` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| hashsweep_spectra::fuzzing::xml_answer(body));
