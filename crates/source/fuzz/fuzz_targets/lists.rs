//! A file of any bytes, recognised or read as each form: no panic, no end of memory, and of a plain table and a text
//! the whole file again.

#![no_main]

use hashsweep_source::list::{InputFormat, Layout, ListOrder, RawRows, recognise};
use std::cell::RefCell;
use std::io::{Seek, Write};

thread_local! {
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new(tempfile::NamedTempFile::new_in("/dev/shm").unwrap());
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [choice, content @ ..] = input else { return };
    FILE.with_borrow_mut(|file| {
        file.as_file_mut().set_len(0).unwrap();
        file.rewind().unwrap();
        file.write_all(content).unwrap();
        let mut order = ListOrder::new(file.path().to_owned(), "sha1".parse().unwrap());
        order.format = InputFormat::ALL.get(usize::from(*choice) % (InputFormat::ALL.len() + 3)).copied();
        let Ok(layout) = recognise(&order) else { return };
        let mut list = RawRows::open(&order, &layout).unwrap();
        let mut again = list.preamble().to_vec();
        let mut is_whole = matches!(layout, Layout::Text | Layout::Table(_));
        while let Some(row) = list.next() {
            assert!(row.number <= content.len() as u64 + 2, "more rows than bytes");
            let _ = row.fields.iter().map(<[u8]>::len).sum::<usize>();
            is_whole &= row.cut.is_none();
            for piece in [row.before, row.raw, row.terminator] {
                again.extend_from_slice(piece);
            }
        }
        let end = list.finish().unwrap();
        assert_eq!(end.n_bytes, content.len() as u64);
        let is_plain = std::str::from_utf8(content).is_ok() && !content.contains(&0);
        if is_whole && is_plain {
            again.extend_from_slice(&end.tail);
            assert_eq!(again, content);
        }
    });
});
