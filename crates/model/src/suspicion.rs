//! Which digests are asked first when not all of them can be asked.
//!
//! Three things are known of a file without asking anybody: what it is, where it lies, and whether it changed of
//! late. Each is weak evidence and may be forged, so together they only decide the order: whatever its class, a
//! digest is asked as soon as there is quota for it.
//!
//! ```text
//!                                          plain place   raised once   raised twice
//!  runs: executable, script                  second         first         first
//!  carries: document, archive                third          second        first
//!  unclear: data                             last           third         second
//!  harmless: text, pictures, sound, fonts    last           last          last
//! ```
//!
//! A place raises when anybody may write there, or when what lies there starts by itself; a change raises when it is
//! recent. Where things start by themselves, data and text count as carriers: lines of cron are text.

mod content;
mod location;

pub use content::Content;
pub use location::Location;

use crate::Stamp;
use std::fmt;

/// When a digest is asked: the best class first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Before all others.
    First,
    /// After the first.
    Second,
    /// After the second.
    Third,
    /// When all others have been asked.
    Last,
}

impl Class {
    /// Best first.
    pub const ALL: [Class; 4] = [Class::First, Class::Second, Class::Third, Class::Last];

    /// The word of every output: `first`, `second`, `third`, `last`.
    pub const fn name(self) -> &'static str {
        match self {
            Class::First => "first",
            Class::Second => "second",
            Class::Third => "third",
            Class::Last => "last",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What makes a file more or less worth asking about. Its text is the reason that a plan shows, such as
/// `executable, writable place, changed recently`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suspicion {
    /// What sort of file it is.
    pub content: Content,
    /// Where it lies.
    pub location: Location,
    /// Whether it was written to shortly before the sweep.
    pub is_recent: bool,
}

impl Suspicion {
    /// How long before a sweep's start a change still counts as recent, in milliseconds: seven days, so that the
    /// file of a weekly sweep is recent once.
    pub const RECENT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

    /// The suspicion of a file that was last written at `modified`. A moment after the sweep's start is recent too:
    /// clocks are set back.
    pub fn new(content: Content, location: Location, modified: Stamp, sweep_started: Stamp) -> Suspicion {
        let is_recent = modified.0 >= sweep_started.0.saturating_sub(Suspicion::RECENT_MS);
        Suspicion { content, location, is_recent }
    }

    /// Its class. The same suspicion has the same class for ever.
    pub const fn class(self) -> Class {
        let starts_by_itself = matches!(self.location, Location::Startup);
        let weight = match self.content {
            Content::Executable | Content::Script => 2,
            Content::Document | Content::Archive => 1,
            Content::Data | Content::Text if starts_by_itself => 1,
            Content::Data => 0,
            Content::Text | Content::Media => return Class::Last,
        };
        let is_raised_by_place = !matches!(self.location, Location::Ordinary);
        match weight + is_raised_by_place as u8 + self.is_recent as u8 {
            0 => Class::Last,
            1 => Class::Third,
            2 => Class::Second,
            _ => Class::First,
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.content.name())?;
        match self.location {
            Location::Ordinary => {}
            Location::Writable => f.write_str(", writable place")?,
            Location::Startup => f.write_str(", startup place")?,
        }
        f.write_str(if self.is_recent { ", changed recently" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;
    const NOW: Stamp = Stamp(1_000 * DAY);

    #[track_caller]
    fn check(head: &[u8], path: &str, days_old: i64, expected: &str) {
        let modified = Stamp(NOW.0 - days_old * DAY);
        let content = Content::of_head(head).under_the_name(path.as_bytes());
        let directory = path.rsplit_once('/').unwrap().0;
        let suspicion = Suspicion::new(content, Location::of(directory.as_bytes()), modified, NOW);
        assert_eq!(format!("{}: {suspicion}", suspicion.class()), expected, "{path}");
    }

    #[test]
    fn what_runs_where_anybody_writes_comes_first_and_pictures_last() {
        check(b"\x7fELF", "/usr/bin/true", 400, "second: executable");
        check(b"\x7fELF", "/tmp/.x/true", 400, "first: executable, writable place");
        check(b"\x7fELF", "/usr/bin/true", 2, "first: executable, changed recently");
        check(b"#!/bin/sh", "/etc/cron.daily/x", 2, "first: script, startup place, changed recently");
        check(b"%PDF-1.7", "/srv/a.pdf", 400, "third: document");
        check(b"%PDF-1.7", "/home/ana/Downloads/a.pdf", 400, "second: document, writable place");
        check(b"PK\x03\x04", "/srv/a.zip", 1, "second: archive, changed recently");
        check(b"PK\x03\x04", "/dev/shm/a", 1, "first: archive, writable place, changed recently");
        check(b"\0\x01\x02\x03", "/srv/a.bin", 400, "last: data");
        check(b"\0\x01\x02\x03", "/srv/a.bin", 3, "third: data, changed recently");
        check(b"\0\x01\x02\x03", "/tmp/a", 3, "second: data, writable place, changed recently");
        check(b"\x89PNG\r\n\x1a\n", "/tmp/a.png", 3, "last: media, writable place, changed recently");
        check(b"hello", "/tmp/a.txt", 3, "last: text, writable place, changed recently");
        check(b"* * * * * root x", "/etc/cron.d/x", 400, "second: text, startup place");
        check(b"* * * * * root x", "/etc/cron.d/x", 3, "first: text, startup place, changed recently");
        check(b"\x89PNG\r\n\x1a\n", "/etc/cron.d/x", 3, "last: media, startup place, changed recently");
    }

    #[test]
    fn seven_days_before_the_sweep_are_recent_and_so_is_what_lies_ahead_of_it() {
        let is_recent =
            |modified| Suspicion::new(Content::Data, Location::Ordinary, Stamp(modified), NOW).is_recent;
        assert!(is_recent(NOW.0 - 7 * DAY));
        assert!(!is_recent(NOW.0 - 7 * DAY - 1));
        assert!(is_recent(NOW.0 + DAY));
    }

    #[test]
    fn no_evidence_ever_makes_a_file_less_suspicious() {
        for location in [Location::Ordinary, Location::Writable, Location::Startup] {
            for is_recent in [false, true] {
                let class = |content| Suspicion { content, location, is_recent }.class();
                assert!(Content::ALL.windows(2).all(|pair| pair[0] < pair[1]), "most suspicious first");
                assert!(
                    Content::ALL.windows(2).all(|pair| class(pair[0]) <= class(pair[1])),
                    "{location:?} {is_recent}"
                );
            }
        }
        for content in Content::ALL {
            for is_recent in [false, true] {
                let at = |location| Suspicion { content, location, is_recent }.class();
                assert!(at(Location::Startup) <= at(Location::Ordinary));
                assert!(at(Location::Writable) <= at(Location::Ordinary));
            }
            for location in [Location::Ordinary, Location::Writable, Location::Startup] {
                let class = |is_recent| Suspicion { content, location, is_recent }.class();
                assert!(class(true) <= class(false));
            }
        }
    }
}
