//! What the user points at becomes sightings: walk, read, hash, lists.
//!
//! Three doors lead in. [`walk()`] takes directories and files and gives one [`Sighting`](hashsweep_model::Sighting)
//! for every entry that is not a directory, and one for every directory that could not be looked into.
//! [`list::read`] takes a file of hashes and gives one for every row. [`read_images`] takes disk images and gives one
//! for every name of a file in them, and one for all that could not be looked at. All push what they see into
//! [`Rows`], which may make them wait, and all leave out what [`Recorded`] or a first row says was seen before.
//!
//! ```text
//!  Walk ─► roots checked ─► descent (rayon) ─► read + hash ─┐
//!                              │ links, own files, filters  ├─► Rows::take
//!  ImageOrder ─► volumes ─► files ─► read + hash ──────────┤
//!  ListOrder ─► layout recognised ─► raw rows ──────────────┘
//! ```
//!
//! This crate does not know the case, the network or the terminal. It opens evidence for reading only, follows
//! no link that it was not told to follow, and loses no entry in silence: what cannot be read is a row that
//! says why.

mod crew;
mod descent;
mod devices;
mod dir;
mod filter;
mod gate;
mod hash;
mod images;
mod links;
pub mod list;
mod mapped;
mod meta;
mod names;
mod own;
mod polite;
mod pseudo;
mod read;
mod rows;
mod suspicion;
mod throttle;
mod volumes;
mod walk;

pub use filter::{BadGlob, Globs};
pub use hash::{Hasher, digests_of};
pub use hashsweep_lanes::{Engine, EngineError};
pub use images::{ImageOrder, Imaged, Named, PathMap, check_images, read_images};
pub use own::OwnFiles;
pub use read::Io;
pub use rows::{Fresh, Gauges, Recorded, Rows};
pub use volumes::Device;
pub use walk::{MissingRoot, Root, Walk, WalkError, Walked, check_roots, walk};
