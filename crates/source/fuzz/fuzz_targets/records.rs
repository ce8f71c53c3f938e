//! The records of a table against the csv crate's.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    hashsweep_source::list::fuzzing::records(input, |delimiter, bytes| {
        let mut reader = csv::ReaderBuilder::new();
        reader.has_headers(false).flexible(true).delimiter(delimiter);
        reader
            .from_reader(bytes)
            .into_byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
            .collect()
    });
});
