//! Hashes in any text: reports, e-mails, logs. A row is one hash.
//!
//! A hash is a word of 32, 40 or 64 hexadecimal digits (or 128, to be refused as a SHA-512) that no letter or digit
//! touches. A line that quoted-printable broke in the middle of one is put together again.

use super::cut::{Cells, Content, Cut, Extent, Gathered};
use hashsweep_model::HashKind;
use memchr::{memchr, memrchr};

/// The columns of an enriched list.
pub(super) const COLUMNS: [&str; 3] = ["hash", "line", "text"];

/// How much of the text around a hash is kept on either side of it: enough for a sentence.
const CONTEXT: usize = 200;

/// The longest word that is looked at: 128 digits, and a soft line break after every one.
const MAX_WORD: usize = 128 * 4;

/// The state between two calls.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extraction {
    /// Whether a letter or digit stands right before the bytes at hand.
    in_word: bool,
    /// Line breaks that were passed.
    n_lines: u64,
}

impl Extraction {
    /// The next hash.
    pub(super) fn cut(self, bytes: &[u8], is_at_end: bool) -> Cut {
        let mut at = 0;
        let mut in_word = self.in_word;
        while at < bytes.len() {
            if !bytes[at].is_ascii_hexdigit() {
                in_word = bytes[at].is_ascii_alphanumeric();
                at += 1;
                continue;
            }
            let word = Word::at(&bytes[at..]);
            let end = at + word.n_bytes;
            if !is_at_end && end + CONTEXT > bytes.len() && word.n_bytes < MAX_WORD {
                // Its end or its context is not there yet.
                return if at > CONTEXT { Cut::Skip(at - CONTEXT) } else { Cut::More };
            }
            let is_prefixed =
                word.n_digits == 1 && bytes[at] == b'0' && matches!(bytes.get(end), Some(b'x' | b'X'));
            if is_prefixed && !in_word {
                // What follows 0x begins a word.
                at = end + 1;
                continue;
            }
            let touches = in_word || bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
            if !touches && matches!(word.n_digits, 32 | 40 | 64 | 128) {
                return Cut::Row(Extent { before: at, raw: word.n_bytes, ..Extent::default() });
            }
            in_word = true;
            at = end;
        }
        match (is_at_end, bytes.len().saturating_sub(CONTEXT)) {
            (true, _) => Cut::End,
            (false, 0) => Cut::More,
            (false, n) => Cut::Skip(n),
        }
    }

    /// The hash, the number of its line and the line's text. `bytes` are those at hand.
    pub(super) fn read(
        self,
        bytes: &[u8],
        extent: Extent,
        only: Option<HashKind>,
        cells: &mut Cells,
    ) -> Content {
        let raw = &bytes[extent.before..extent.before + extent.raw];
        let start = cells.make().len();
        cells.make().extend(raw.iter().filter(|byte| byte.is_ascii_hexdigit()));
        cells.push_made_since(start);
        let line = self.n_lines + count_breaks(&bytes[..extent.before]) + 1;
        cells.push_made(line.to_string().as_bytes());
        let (head, tail) = (&bytes[..extent.before], &bytes[extent.before + extent.raw..]);
        let head = &head[memrchr(b'\n', head).map_or(0, |at| at + 1)..];
        let tail = &tail[..memchr(b'\n', tail).unwrap_or(tail.len())];
        let start = cells.make().len();
        cells.make().extend_from_slice(cut_front(head));
        cells.make().extend_from_slice(raw);
        cells.make().extend_from_slice(cut_back(tail).trim_ascii_end());
        cells.push_made_since(start);
        let hash = cells.get(raw, 0).unwrap_or_default().to_vec();
        let mut gathered = Gathered::default();
        gathered.add(0, &hash, only);
        gathered.content()
    }

    /// After these bytes were used up.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.n_lines += count_breaks(bytes);
        if let Some(last) = bytes.last() {
            self.in_word = last.is_ascii_alphanumeric();
        }
    }
}

/// A run of hexadecimal digits, over soft line breaks.
struct Word {
    n_digits: usize,
    n_bytes: usize,
}

impl Word {
    fn at(bytes: &[u8]) -> Word {
        let mut word = Word { n_digits: 0, n_bytes: 0 };
        loop {
            let rest = &bytes[word.n_bytes..];
            let n = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            word.n_digits += n;
            word.n_bytes += n;
            let n_soft = match &rest[n..] {
                [b'=', b'\r', b'\n', digit, ..] if digit.is_ascii_hexdigit() => 3,
                [b'=', b'\n', digit, ..] if digit.is_ascii_hexdigit() => 2,
                _ => return word,
            };
            if word.n_digits >= 128 {
                return word;
            }
            word.n_bytes += n_soft;
        }
    }
}

fn count_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// At most so much of the end, from a character's beginning.
fn cut_front(text: &[u8]) -> &[u8] {
    let mut start = text.len().saturating_sub(CONTEXT);
    while start > 0 && start < text.len() && text[start] & 0xc0 == 0x80 {
        start += 1;
    }
    text[start..].trim_ascii_start()
}

/// At most so much of the beginning, to a character's end.
fn cut_back(text: &[u8]) -> &[u8] {
    let mut end = text.len().min(CONTEXT);
    while end > 0 && end < text.len() && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    &text[..end]
}
