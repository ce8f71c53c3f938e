//! The report as its readers see it. One binary, because each costs a link.

#![expect(clippy::unwrap_used, reason = "all of it is tests; the lint sees only the annotated functions")]

mod difference;
mod findings;
mod forensic;
mod hostile;
mod list;
mod manifest;
mod page;
mod rows;
mod summary;
mod ticket;
