//! How hostile text is written: file names, list cells and whatever the service says.
//!
//! Two grounds, one spelling. In a CSV cell the danger is a spreadsheet that runs the cell and a reader that chokes
//! on control characters; on a terminal it is every sequence that moves the cursor or hides a name. Both write a
//! dangerous byte as `\xHH`, and a backslash that would read as such an escape as `\x5C`. That makes [`decode`]
//! exact for all of them but [`terminal`]: replace every `\xHH` by its byte, and the original bytes are back. Ordinary
//! names, Windows paths among them, stay as they are.
//!
//! This module does not know what a column is, and it does not quote: quoting belongs to the format.

use std::borrow::Cow;
use std::fmt::Write;

/// Bytes as text: what is not UTF-8 and control characters other than TAB and LF are written `\xHH`.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    escape(bytes, |_, c| if is_control(c) { Spelling::Bytes } else { Spelling::Plain })
}

/// As [`text`], and a first character that would make a spreadsheet run the cell is written `\xHH` too.
pub fn cell(bytes: &[u8]) -> Cow<'_, str> {
    escape(bytes, |at, c| {
        if is_control(c) || (at == 0 && starts_formula(c)) { Spelling::Bytes } else { Spelling::Plain }
    })
}

/// As [`text`] for XML, which cannot hold U+FFFE and U+FFFF either. Its markup is not escaped here.
pub fn xml(bytes: &[u8]) -> Cow<'_, str> {
    escape(bytes, |_, c| {
        if is_control(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}') { Spelling::Bytes } else { Spelling::Plain }
    })
}

/// As [`text`] for a row of cells that nothing quotes: one line, and no bar.
pub fn unquoted(bytes: &[u8]) -> Cow<'_, str> {
    escape(bytes, |_, c| if c.is_control() || c == '|' { Spelling::Bytes } else { Spelling::Plain })
}

/// As [`text`] for a screen: one line, no control character at all, and what is invisible or turns the writing
/// direction is written `\u{202E}`.
///
/// Nothing decodes this: it is for eyes. A file that is to be found again is in the CSV or JSONL output.
pub fn terminal(bytes: &[u8]) -> String {
    escape(bytes, |_, c| {
        if c.is_control() {
            Spelling::Bytes
        } else if is_invisible(c) {
            Spelling::Point
        } else {
            Spelling::Plain
        }
    })
    .into_owned()
}

/// The bytes that [`text`], [`cell`], [`xml`] or [`unquoted`] wrote: every `\xHH` becomes its byte.
pub fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if reads_as_escape(&bytes[at..]) {
            out.push(hex_value(bytes[at + 2]) << 4 | hex_value(bytes[at + 3]));
            at += 4;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

enum Spelling {
    Plain,
    /// Each of its UTF-8 bytes as `\xHH`.
    Bytes,
    /// Its code point as `\u{H…}`.
    Point,
}

/// Walks the bytes once; `spell` sees each character with its offset in the original.
fn escape(bytes: &[u8], spell: impl Fn(usize, char) -> Spelling) -> Cow<'_, str> {
    let is_clean = |text: &str| {
        text.char_indices().all(|(at, c)| {
            matches!(spell(at, c), Spelling::Plain) && !(c == '\\' && reads_as_escape(&bytes[at..]))
        })
    };
    // Nearly every name is clean; it is handed back as it came. Most need no look at each character.
    if is_plain(bytes)
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return Cow::Borrowed(text);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && is_clean(text)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(bytes.len() + 16);
    let mut offset = 0;
    for chunk in bytes.utf8_chunks() {
        for (at, c) in chunk.valid().char_indices() {
            let at = offset + at;
            match spell(at, c) {
                Spelling::Plain if c == '\\' && reads_as_escape(&bytes[at..]) => push_byte(&mut out, b'\\'),
                Spelling::Plain => out.push(c),
                Spelling::Bytes => {
                    c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_byte(&mut out, byte));
                }
                Spelling::Point => {
                    write!(out, "\\u{{{:04X}}}", u32::from(c)).expect("a String takes every text");
                }
            }
        }
        chunk.invalid().iter().for_each(|byte| push_byte(&mut out, *byte));
        offset += chunk.valid().len() + chunk.invalid().len();
    }
    Cow::Owned(out)
}

/// Whether there is nothing in a text that anybody here spells otherwise: printable ASCII, but for what begins an escape
/// or a formula, and for the bar.
fn is_plain(bytes: &[u8]) -> bool {
    !matches!(bytes.first(), Some(b'=' | b'+' | b'-' | b'@'))
        && bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'\\' | b'|'))
}

fn push_byte(out: &mut String, byte: u8) {
    write!(out, "\\x{byte:02X}").expect("a String takes every text");
}

/// Whether a reader would take these bytes for an escape. Upper-case digits only: `\x2d` and its like stand in
/// the names of systemd's units on every Linux system, and ordinary names are to stay as they are.
fn reads_as_escape(bytes: &[u8]) -> bool {
    let is_digit = |digit: &u8| matches!(digit, b'0'..=b'9' | b'A'..=b'F');
    matches!(bytes, [b'\\', b'x', high, low, ..] if is_digit(high) && is_digit(low))
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'A' + 10,
    }
}

/// C0, DEL and C1, but for TAB and LF, which a CSV cell can hold.
fn is_control(c: char) -> bool {
    c.is_control() && c != '\t' && c != '\n'
}

/// What spreadsheets take for the start of a formula. The full-width forms count: with East Asian settings some
/// read them as their ASCII twins.
fn starts_formula(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
}

/// Zero-width, line separating and direction turning characters, and the invisible tag alphabet: with them
/// a name can read backwards or show nothing of itself.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061C}'
            | '\u{180E}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}'
            | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes with more backslashes, digits, controls and formula characters than chance would bring.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|c| c.to_string().into_bytes()),
            prop::sample::select(vec![
                "\\", "\\x", "x", "4", "f", "A", "=", "+", "-", "@", "\t", "\n", "\r", "\u{85}", "\u{7f}",
                "\\x5C", "|", "\u{FFFE}", "\u{FFFF}", "＝", "\u{202E}", "é",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn decoding_gives_the_original_bytes_back(bytes in hostile()) {
            prop_assert_eq!(&decode(&cell(&bytes)), &bytes);
            prop_assert_eq!(&decode(&text(&bytes)), &bytes);
            prop_assert_eq!(&decode(&xml(&bytes)), &bytes);
            prop_assert_eq!(&decode(&unquoted(&bytes)), &bytes);
        }

        #[test]
        fn a_cell_neither_runs_nor_holds_a_control_character(bytes in hostile()) {
            let cell = cell(&bytes);
            prop_assert!(!cell.starts_with(starts_formula));
            prop_assert!(!cell.contains(is_control));
        }

        #[test]
        fn a_bar_or_a_line_end_never_breaks_a_row(bytes in hostile()) {
            prop_assert!(!unquoted(&bytes).contains(|c: char| c.is_control() || c == '|'));
        }

        #[test]
        fn a_terminal_sees_one_plain_line(bytes in hostile()) {
            let line = terminal(&bytes);
            prop_assert!(!line.contains(|c: char| c.is_control() || is_invisible(c)));
        }
    }

    #[test]
    fn a_cell_reads_like_this() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(cell(bytes), expected);
        check(b"plain name, with \"quotes\"", "plain name, with \"quotes\"");
        check("naïve/日本語".as_bytes(), "naïve/日本語");
        check(b"latin-\xE9", "latin-\\xE9");
        check(b"two\nlines\tand a tab", "two\nlines\tand a tab");
        check(b"esc\x1B[31m\r\x00\x7F", "esc\\x1B[31m\\x0D\\x00\\x7F");
        check("nel\u{85}".as_bytes(), "nel\\xC2\\x85");
        check(b"C:\\Users\\xavier", "C:\\Users\\xavier");
        check(b"C:\\xampp and \\xFF", "C:\\xampp and \\x5CxFF");
        check(b"C:\\xAbout", "C:\\xAbout");
        check(b"C:\\xABC", "C:\\x5CxABC");
        check(b"system-systemd\\x2dcryptsetup.slice", "system-systemd\\x2dcryptsetup.slice");
        check(b"=cmd|' /C calc'!A0", "\\x3Dcmd|' /C calc'!A0");
        check(b"-1", "\\x2D1");
        check(b"\nfirst", "\\x0Afirst");
        check("＝1".as_bytes(), "\\xEF\\xBC\\x9D1");
        check(b"a=b", "a=b");
        check(b"", "");
    }

    #[test]
    fn a_terminal_line_reads_like_this() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(terminal(bytes), expected);
        check(b"=a\nb\tc", "=a\\x0Ab\\x09c");
        check("gpj.\u{202E}exe\u{200B}".as_bytes(), "gpj.\\u{202E}exe\\u{200B}");
        check(b"\x1B]0;owned\x07\xFF", "\\x1B]0;owned\\x07\\xFF");
    }
}
