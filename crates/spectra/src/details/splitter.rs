//! Cuts the elements of `rl.entries` out of a JSON text that comes in pieces.
//!
//! It only knows strings and brackets. Everything outside the elements is kept, with a `0` in the place of each,
//! and that skeleton is given to a real parser at the end; each element is given to one when it is used. So the
//! text as a whole is checked as strictly as if it had been read at once, and a text that deceives the splitter
//! about where it is cannot pass.
//!
//! ```text
//!   {"rl": {"entries": [ {…}, {…} ], "x": 1}}   ──►   {…}   {…}   and   {"rl":{"entries":[0,0],"x":1}}
//! ```

use super::MAX_ENTRY_BYTES;
use crate::wire::{Object, shortened, without_mark};
use std::collections::VecDeque;

/// A recorded report nests 20 deep; the parser itself takes 128.
const MAX_DEPTH: usize = 120;

/// What stands beside the entries: a few short lists at most.
const MAX_SKELETON_BYTES: usize = 1 << 20;

/// The splitter between two pieces. It holds the element that is open and those that the last piece closed.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    closed: VecDeque<Vec<u8>>,
    n_elements: usize,
    /// The element that is open.
    element: Option<Vec<u8>>,
    skeleton: Vec<u8>,
    /// The open brackets.
    open: Vec<u8>,
    in_string: bool,
    escaped: bool,
    /// Where in the skeleton the last string began.
    string_at: usize,
    /// Whether the last keys of the two outermost objects are `rl` and `entries`.
    in_rl: bool,
    in_entries: bool,
}

impl Splitter {
    /// Takes the next piece of the text.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), String> {
        for byte in piece {
            self.take(*byte)?;
        }
        Ok(())
    }

    /// An element that is whole.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        self.closed.pop_front()
    }

    /// Forgets what it holds.
    pub(crate) fn clear(&mut self) {
        *self = Splitter::default();
    }

    /// Whether the text that ends here was whole and of the right shape.
    pub(crate) fn finish(&self) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Envelope {
            rl: Object<Rl>,
        }
        #[derive(serde::Deserialize)]
        struct Rl {
            entries: Vec<u8>,
        }
        let text = std::str::from_utf8(without_mark(&self.skeleton)).map_err(|e| e.to_string())?;
        let Object(Envelope { rl: Object(rl) }) =
            serde_json::from_str(text).map_err(|e| shortened(&e.to_string()))?;
        let n_listed = rl.entries.len();
        if n_listed == self.n_elements { Ok(()) } else { Err("its entries are not one list".to_owned()) }
    }

    fn take(&mut self, byte: u8) -> Result<(), String> {
        if self.in_string {
            self.keep(byte)?;
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.in_string = false;
                    self.end();
                }
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                self.end();
                self.keep_if_in_element(byte)
            }
            b'"' => {
                self.begin();
                self.in_string = true;
                self.string_at = self.skeleton.len();
                self.keep(byte)
            }
            b'{' | b'[' => {
                self.begin();
                if self.open.len() == MAX_DEPTH {
                    return Err(format!("it nests deeper than {MAX_DEPTH}"));
                }
                self.open.push(byte);
                self.keep(byte)
            }
            b'}' | b']' => {
                self.end();
                self.open.pop().ok_or("a bracket closes that did not open")?;
                self.keep(byte)?;
                self.end();
                Ok(())
            }
            b',' => {
                self.end();
                self.keep(byte)
            }
            b':' => {
                self.name();
                self.keep(byte)
            }
            _ => {
                self.begin();
                self.keep(byte)
            }
        }
    }

    /// Whether the next value is an element of the list: right inside its bracket.
    fn is_in_list(&self) -> bool {
        self.in_rl && self.in_entries && self.open == b"{{["
    }

    /// A value begins or goes on.
    fn begin(&mut self) {
        if self.element.is_none() && self.is_in_list() {
            self.skeleton.push(b'0');
            self.element = Some(Vec::new());
        }
    }

    /// A value has ended: an element, if no bracket inside of it is open any more.
    fn end(&mut self) {
        if self.is_in_list()
            && let Some(element) = self.element.take()
        {
            self.n_elements += 1;
            self.closed.push_back(element);
        }
    }

    /// The last string was a key; only those of the two outermost objects matter.
    fn name(&mut self) {
        if self.element.is_some() {
            return;
        }
        let key = self.skeleton.get(self.string_at..).unwrap_or_default();
        match self.open.as_slice() {
            b"{" => {
                self.in_rl = key == br#""rl""#;
                self.in_entries = false;
            }
            b"{{" => self.in_entries = key == br#""entries""#,
            _ => {}
        }
    }

    fn keep_if_in_element(&mut self, byte: u8) -> Result<(), String> {
        if self.element.is_some() { self.keep(byte) } else { Ok(()) }
    }

    fn keep(&mut self, byte: u8) -> Result<(), String> {
        let (kept, limit, what) = match &mut self.element {
            Some(element) => (element, MAX_ENTRY_BYTES, "an entry"),
            None => (&mut self.skeleton, MAX_SKELETON_BYTES, "what stands beside its entries"),
        };
        if kept.len() >= limit {
            return Err(format!("{what} is larger than {limit} bytes"));
        }
        kept.push(byte);
        Ok(())
    }
}
