//! What the forms of lists have in common: where a row ends, which cells it has, and which hashes.

use super::value;
use hashsweep_model::{Digest, DigestError, Digests, HashKind, Skip};

/// What lies at the beginning of the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// At least one byte, or the same row would come again without end.
    Row(Extent),
    /// So many bytes that belong to no row.
    Skip(usize),
    /// A row whose end is not there yet. Never at the end of the list.
    More,
    /// No further row.
    End,
}

/// Where a row is: so many bytes one behind the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// What belongs to no row.
    pub(super) before: usize,
    pub(super) raw: usize,
    pub(super) terminator: usize,
    /// A quote is still open at the end.
    pub(super) is_open: bool,
    /// A cell begins with a quote: only then may there be line breaks within the row.
    pub(super) is_quoted: bool,
}

impl Extent {
    pub(super) fn len(&self) -> usize {
        self.before + self.raw + self.terminator
    }
}

/// The cells of a row: pieces of its bytes, or of what was made from them.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    spans: Vec<Span>,
    /// Cells that do not stand in the row as they are: unescaped ones.
    made: Vec<u8>,
}

/// Small, because a hostile record is all delimiters.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
    is_made: bool,
}

impl Span {
    fn new(start: usize, end: usize, is_made: bool) -> Span {
        let short = |at: usize| u32::try_from(at).expect("rows are far below 4 GiB");
        Span { start: short(start), end: short(end), is_made }
    }

    fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
    }
}

impl Cells {
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.made.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// A piece of the row.
    pub(super) fn push_piece(&mut self, start: usize, end: usize) {
        self.spans.push(Span::new(start, end, false));
    }

    /// A cell of bytes that [`make`](Cells::make) gave since this length was taken.
    pub(super) fn push_made_since(&mut self, start: usize) {
        self.spans.push(Span::new(start, self.made.len(), true));
    }

    pub(super) fn push_made(&mut self, bytes: &[u8]) {
        let start = self.made.len();
        self.made.extend_from_slice(bytes);
        self.push_made_since(start);
    }

    pub(super) fn make(&mut self) -> &mut Vec<u8> {
        &mut self.made
    }

    pub(super) fn get<'a>(&'a self, raw: &'a [u8], i: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(i)?;
        Some(span.of(if span.is_made { &self.made } else { raw }))
    }
}

/// What a row says. Small, because nearly every row says one digest: what is rare is behind a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It names one digest and nothing else.
    One(Digest),
    /// It names one content by several digests, or not in every cell that should.
    Several(Box<Several>),
    /// It names none.
    Invalid(DigestError),
    /// It could not be read, or not to its end: a hash may stand in it that was not looked at. If the list ends with
    /// it, neither was what stands behind it.
    Lost(Skip),
}

impl Content {
    /// The digests that it names, if any.
    pub fn digests(&self) -> Option<Digests> {
        match self {
            Content::One(digest) => Some(Digests::default().with(*digest)),
            Content::Several(several) => Some(several.digests),
            Content::Invalid(_) | Content::Lost(_) => None,
        }
    }

    /// A cell beside its digests that should hold a hash and does not.
    pub fn bad(&self) -> Option<&BadCell> {
        match self {
            Content::Several(several) => several.bad.as_ref(),
            Content::One(_) | Content::Invalid(_) | Content::Lost(_) => None,
        }
    }
}

/// More than one digest, or one beside a cell that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Several {
    /// At least one.
    pub digests: Digests,
    /// A cell beside them that should hold a hash and does not.
    pub bad: Option<BadCell>,
}

/// A cell that holds no hash beside one that does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCell {
    /// Which cell, from 1.
    pub cell: usize,
    /// What is wrong with it.
    pub why: DigestError,
}

/// Gathers the hashes of a row.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    digests: Digests,
    bad: Option<BadCell>,
}

impl Gathered {
    /// A cell (counted from 0) that should hold a hash of this kind. A blank one says nothing.
    pub(super) fn add(&mut self, at: usize, cell: &[u8], kind: Option<HashKind>) {
        match value::parse(cell, kind) {
            Ok(digest) => self.put(at, digest),
            Err(DigestError::Empty) => {}
            Err(why) => self.fault(at, why),
        }
    }

    #[inline]
    fn put(&mut self, at: usize, digest: Digest) {
        match self.digests.get(digest.kind()) {
            None => self.digests.put(digest),
            Some(there) if there == digest => {}
            Some(_) => {
                self.fault(at, DigestError::Form(format!("a second {} that differs", digest.kind())));
            }
        }
    }

    pub(super) fn fault(&mut self, at: usize, why: DigestError) {
        self.bad.get_or_insert(BadCell { cell: at + 1, why });
    }

    #[inline]
    pub(super) fn content(self) -> Content {
        let Gathered { digests, bad } = self;
        let mut all = digests.iter();
        match (all.next(), all.next(), bad) {
            (Some(one), None, None) => Content::One(one),
            (Some(_), _, bad) => Content::Several(Box::new(Several { digests, bad })),
            (None, _, bad) => Content::Invalid(bad.map_or(DigestError::Empty, |bad| bad.why)),
        }
    }
}

/// What a row says of which this is the only cell that should hold a hash: as [`Gathered`] has it, with less to carry.
#[inline]
pub(super) fn one(cell: &[u8], kind: Option<HashKind>) -> Content {
    match value::parse(cell, kind) {
        Ok(digest) => Content::One(digest),
        Err(why) => Content::Invalid(why),
    }
}

/// The next line; `\r\n` ends one as `\n` does.
pub(super) fn line(bytes: &[u8], is_at_end: bool) -> Cut {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => {
            let raw = end - usize::from(end > 0 && bytes[end - 1] == b'\r');
            Cut::Row(Extent { raw, terminator: end + 1 - raw, ..Extent::default() })
        }
        None if !is_at_end => Cut::More,
        None if bytes.is_empty() => Cut::End,
        None => Cut::Row(Extent { raw: bytes.len(), ..Extent::default() }),
    }
}

/// A text without its surrounding blanks, as a piece of `of`.
pub(super) fn trimmed(of: &[u8], start: usize, end: usize) -> (usize, usize) {
    let inner = &of[start..end];
    let start = start + (inner.len() - inner.trim_ascii_start().len());
    (start, start + inner.trim_ascii().len())
}
