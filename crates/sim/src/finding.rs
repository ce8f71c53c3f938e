//! What there is to say, before it is written down: the last moment at which a script can spoil it.

use crate::{
    exchange::{Format, Response},
    fault::Fault,
    tree::Tree,
};

/// An answer with its price.
#[derive(Debug)]
pub(crate) struct Finding {
    /// What it costs.
    pub(crate) units: u64,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) enum Answer {
    /// A list of entries about hashes.
    Bulk(Bulk),
    /// Anything else, which has no list to spoil.
    Whole(Response),
}

/// The answer to a bulk query.
#[derive(Debug)]
pub(crate) struct Bulk {
    pub(crate) entries: Vec<Tree>,
    pub(crate) unknown: Vec<String>,
    pub(crate) invalid: Vec<String>,
    pub(crate) format: Format,
    /// An entry that nobody asked for, for [`Fault::ExtraEntry`].
    pub(crate) stranger: Option<Tree>,
}

impl Finding {
    /// How many entries the answer holds.
    pub(crate) fn n_entries(&self) -> u64 {
        match &self.answer {
            Answer::Bulk(bulk) => bulk.entries.len() as u64,
            Answer::Whole(_) => self.units.min(1),
        }
    }

    /// Does to the list of entries what the script says; other faults are not about the list.
    pub(crate) fn spoil(&mut self, fault: &Fault) {
        let Answer::Bulk(bulk) = &mut self.answer else { return };
        match fault {
            Fault::ExtraEntry => bulk.entries.extend(bulk.stranger.take()),
            Fault::DoubledEntry => bulk.entries.extend_from_within(..bulk.entries.len().min(1)),
            Fault::OmitHashes(n) => {
                let n_entries = (*n).min(bulk.entries.len());
                bulk.entries.drain(..n_entries);
                // In list mode the unknown hashes are part of the answer too.
                let n_listed = (n - n_entries).min(bulk.unknown.len());
                bulk.unknown.drain(..n_listed);
            }
            _ => {}
        }
    }

    /// Writes the answer down.
    pub(crate) fn into_response(self) -> Response {
        match self.answer {
            Answer::Whole(response) => response,
            Answer::Bulk(bulk) => {
                let list = |hashes: Vec<String>| (!hashes.is_empty()).then(|| Tree::from(hashes));
                let rl = Tree::record([("entries", Tree::List(bulk.entries))])
                    .with_some("unknown_hashes", list(bulk.unknown))
                    .with_some("invalid_hashes", list(bulk.invalid));
                Response::of_tree(bulk.format, &Tree::record([("rl", rl)]))
            }
        }
    }
}
