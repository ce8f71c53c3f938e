//! A table as wide as the screen and no wider: five columns, of which two give way.
//!
//! It knows nothing of what stands in the cells but that the last one is a path, which identifies its row.

use unicode_width::UnicodeWidthChar;

/// How the columns of a table are laid out.
pub(crate) struct Grid {
    pub(crate) header: [&'static str; N_COLUMNS],
    /// The column that may be in colour.
    pub(crate) painted: usize,
    /// The column that gives way to the path on a screen too narrow for both.
    pub(crate) giving_way: usize,
}

const N_COLUMNS: usize = 5;
const PATH: usize = N_COLUMNS - 1;
const GAP: &str = "  ";
/// Texts beyond this give way to the path on a screen too narrow for both. A guess, unmeasured.
const WIDE_ENOUGH: usize = 40;
/// What a narrow screen leaves to a text and to a path: less says nothing.
const MIN_WIDTH: usize = 12;

/// The texts of one row, safe for a terminal.
pub(crate) type Cells = [String; N_COLUMNS];

/// How wide each column is.
pub(crate) type Widths = [usize; N_COLUMNS];

impl Grid {
    /// The width of each column but the last needs its padding; the last needs its limit.
    pub(crate) fn widths<'a>(&self, rows: impl Iterator<Item = &'a Cells>, screen: Option<usize>) -> Widths {
        let mut widths = self.header.map(width);
        for row in rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let Some(screen) = screen else { return widths };
        let (text, path) = (widths[self.giving_way], widths[PATH]);
        let others = widths.iter().sum::<usize>() - text - path + GAP.len() * PATH;
        let room = screen.saturating_sub(others);
        if text + path > room {
            // The path identifies, so the text gives way first; two fifths leave it 20 columns of 80.
            let wanted = text.min(WIDE_ENOUGH);
            let text = wanted.min((room * 2 / 5).max(MIN_WIDTH)).max(wanted.min(room.saturating_sub(path)));
            widths[self.giving_way] = text;
            widths[PATH] = room.saturating_sub(text).max(MIN_WIDTH).min(path);
        }
        widths
    }

    pub(crate) fn header_line(&self, widths: &Widths) -> String {
        self.line(&self.header.map(str::to_owned), widths, |text| text)
    }

    /// One line of the table. A cell is painted after it was measured.
    pub(crate) fn line(&self, cells: &Cells, widths: &Widths, paint: impl Fn(String) -> String) -> String {
        let mut text = String::new();
        for (i, (cell, &limit)) in cells.iter().zip(widths).enumerate() {
            let cell = cut(cell, limit);
            let padding = " ".repeat(limit - width(&cell));
            if i > 0 {
                text.push_str(GAP);
            }
            if i == self.painted {
                text.push_str(&paint(cell));
            } else {
                text.push_str(&cell);
            }
            if i < PATH {
                text.push_str(&padding);
            }
        }
        text
    }
}

/// Takes the middle out of a text that is too wide. Two thirds of what stays is its end: that is where a file's
/// name is.
fn cut(text: &str, limit: usize) -> String {
    if width(text) <= limit {
        return text.to_owned();
    }
    let room = limit.saturating_sub(1);
    let head = fitting(text.chars(), room / 3);
    let tail = fitting(text.chars().rev(), room - width(&head));
    let tail: String = tail.chars().rev().collect();
    format!("{head}…{tail}")
}

fn fitting(chars: impl Iterator<Item = char>, limit: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= limit
        })
        .collect()
}

/// Columns on a screen, character by character as terminals count.
fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_end_of_a_long_path_stays() {
        assert_eq!(cut("/home/user/very/long/way/down/evil.exe", 20), "/home/…down/evil.exe");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("日本語日本語", 7), "日…本語");
        assert_eq!(cut("abc", 1), "…");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in "\\PC{0,40}", limit in 1usize..30) {
            prop_assert!(width(&cut(&text, limit)) <= limit);
        }
    }
}
