//! HFS+ and HFSX: every record of the catalog, whether its index leads to it or not.
//!
//! ```text
//!  header ─► catalog ─► record of a file ─► data fork, resource fork ─► eight extents
//!        ├─► attributes: what macOS compressed                   further ones ◄┘
//!        └─► extents: what is beyond the eighth ───────────────────┘
//! ```
//!
//! The leaves of each tree are those that its index leads to and those that its map calls used; a difference is a
//! problem, and so is one between the header's counts of files and folders and the records. There are no checksums. The
//! journal is not replayed: a volume whose journal holds changes is given as it lies on the disk, with a problem.

mod catalog;
mod fork;
mod give;
mod header;
mod journal;
mod packed;
mod survey;
mod tree;

use crate::budget::Budget;
use crate::fault::{Fault, damaged};
use crate::found::{FileSystem, Found};
use crate::item::{Item, Summary};
use crate::reader::ImageReader;
use fork::{Blocks, Which};
use give::Giving;
use header::Header;
use packed::Packed;
use std::ops::ControlFlow;
use std::sync::Arc;
use survey::Survey;
use tree::Tree;

/// Bytes of metadata that are one step of work: the smallest node.
const UNIT: u64 = 512;
/// Compressed files may be together so many times longer than permitted without.
const MOST_EXPANDED: u64 = 16;
/// Numbers of the file system's own files.
const EXTENTS: u32 = 3;
const CATALOG: u32 = 4;
const ALLOCATION: u32 = 6;
const STARTUP: u32 = 7;
const ATTRIBUTES: u32 = 8;

/// An HFS+ or HFSX volume.
pub(crate) struct HfsPlus {
    image: Arc<dyn ImageReader>,
    header: Header,
    is_wrapped: bool,
}

impl HfsPlus {
    /// Reads the header, or its copy at the end.
    pub(crate) fn open(image: Arc<dyn ImageReader>) -> Result<HfsPlus, Fault> {
        let (image, is_wrapped) = header::unwrapped(image)?;
        Ok(HfsPlus { header: Header::read(&*image)?, image, is_wrapped })
    }

    fn wrong_with_the_whole(&self) -> Vec<Fault> {
        let when = |is: bool, fault: Fault| is.then_some(fault);
        [
            when(self.header.is_copy, damaged("the header; its copy was read", 1024)),
            when(self.header.is_inconsistent, damaged("a volume that says it needs repair", 1024)),
            when(self.header.len() > self.image.size(), Fault::PastEnd { offset: self.image.size() }),
            when(
                self.is_wrapped,
                Fault::Unsupported("an HFS volume around HFS+; it was not looked at".into()),
            ),
            journal::fault(&*self.image, &self.header),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The blocks of the file system's own and the trees; the catalog is `None` where it cannot be read.
    fn open_trees<'v>(
        &'v self,
        blocks: &mut Blocks,
        budget: &mut Budget,
        faults: &mut Vec<Fault>,
    ) -> (Option<Tree<'v>>, Packed<'v>) {
        let header = &self.header;
        match fork::tree(&*self.image, blocks, &header.extents, EXTENTS, faults) {
            Ok(Some(tree)) => blocks.read_further(&tree, budget, faults),
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
        let catalog = fork::tree(&*self.image, blocks, &header.catalog, CATALOG, faults);
        let attributes = fork::tree(&*self.image, blocks, &header.attributes, ATTRIBUTES, faults);
        for (fork, number) in [(&header.allocation, ALLOCATION), (&header.startup, STARTUP)] {
            match blocks.runs(fork, number, Which::Data) {
                Ok(runs) if runs.is_shared => {
                    faults.push(damaged(
                        "blocks of the file system's own that are in two files",
                        number.into(),
                    ));
                }
                Ok(_) => {}
                Err(fault) => faults.push(fault),
            }
        }
        let catalog = catalog.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let attributes = attributes.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        (catalog, Packed::read(attributes, budget, faults))
    }
}

impl FileSystem for HfsPlus {
    fn kind(&self) -> &'static str {
        "HFS+"
    }

    fn image(&self) -> Option<Arc<dyn ImageReader>> {
        Some(Arc::clone(&self.image))
    }

    fn walk(&self, sink: &mut dyn FnMut(Item) -> ControlFlow<()>) -> Summary {
        let mut found = Found::new(sink);
        let size = self.image.size();
        let n_times = if self.header.attributes.is_empty() { 1 } else { MOST_EXPANDED };
        let mut budget = Budget::of_shared(size / UNIT, UNIT, n_times);
        let mut blocks = Blocks::of(&self.header, &*self.image);
        let mut faults = self.wrong_with_the_whole();
        let (catalog, packed) = self.open_trees(&mut blocks, &mut budget, &mut faults);
        let Some(catalog) = catalog else {
            faults.push(damaged("no catalog", 0));
            found.problems(faults.into_iter().map(|fault| (b"/".to_vec(), fault)).collect());
            return found.summary;
        };
        let mut survey = Survey::default();
        let leaves = catalog.visit(&mut budget, &mut faults, &mut |_, key, record| survey.add(key, record));
        faults.extend(survey.contradictions(&self.header));
        found.problems(faults.into_iter().map(|fault| (b"/".to_vec(), fault)).collect());
        let places = survey.places(&mut found.summary);
        let mut giving = Giving { image: &*self.image, places, blocks, packed, budget, found };
        giving.all(&catalog, &leaves);
        giving.found.summary
    }
}
