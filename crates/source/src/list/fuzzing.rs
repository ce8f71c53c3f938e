//! What the fuzzer runs, and the tests over the committed corpus: the row readers, on bytes of any kind.

use super::cut::{Cells, Cut};
use super::record;

/// The records of a table are those of the csv crate, with any delimiter, however the bytes arrive: the first byte
/// chooses the delimiter, the second how much comes at once.
///
/// # Panics
///
/// If they are not.
pub fn records(input: &[u8], expected: impl FnOnce(u8, &[u8]) -> Vec<Vec<Vec<u8>>>) {
    let [choice, piece, bytes @ ..] = input else { return };
    // The crate takes a byte order mark off; here that is done before.
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return;
    }
    let delimiter = b",;\t|"[usize::from(*choice % 4)];
    let piece = usize::from(*piece).max(1);
    let mut records = Vec::new();
    let mut cells = Cells::default();
    let (mut at, mut n_there) = (0, 0);
    loop {
        match record::cut(&bytes[at..n_there], n_there == bytes.len(), delimiter, &mut cells) {
            Cut::Row(extent) => {
                let raw = &bytes[at + extent.before..at + extent.before + extent.raw];
                let cells = (0..cells.len()).map(|i| cells.get(raw, i).expect("it was counted").to_vec());
                records.push(cells.collect::<Vec<_>>());
                at += extent.len();
            }
            Cut::Skip(n) => at += n,
            Cut::More => {
                assert!(n_there < bytes.len(), "more was asked for behind the end");
                n_there = (n_there + piece).min(bytes.len());
            }
            Cut::End => break,
        }
    }
    assert_eq!(records, expected(delimiter, bytes));
}
