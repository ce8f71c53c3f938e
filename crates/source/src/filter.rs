//! Which entries the user asked to leave out, by name.
//!
//! Sizes and times are judged where the file's metadata is at hand; this is about patterns only.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use thiserror::Error;

/// Patterns, matched against the path as shown and against the file name alone.
///
/// `*` and `?` do not cross a slash, `**` does. A leading `./` and a trailing slash mean nothing, in a pattern or
/// in a path.
#[derive(Clone, Debug, Default)]
pub struct Globs {
    set: Option<GlobSet>,
}

/// A pattern that cannot be understood.
#[derive(Clone, Debug, Error)]
#[error("understand the pattern {pattern:?}: {reason}")]
pub struct BadGlob {
    /// As it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Globs {
    /// No pattern at all: as an exclusion it excludes nothing, as an inclusion it includes everything.
    pub fn none() -> Globs {
        Globs::default()
    }

    /// Compiles the patterns.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Globs, BadGlob> {
        let mut set = GlobSetBuilder::new();
        let mut is_empty = true;
        for pattern in patterns {
            let pattern = pattern.as_ref();
            let bad = |error: &globset::Error| BadGlob {
                pattern: pattern.to_owned(),
                reason: error.kind().to_string(),
            };
            let plain = pattern.strip_prefix("./").unwrap_or(pattern);
            let plain = plain.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(plain);
            set.add(GlobBuilder::new(plain).literal_separator(true).build().map_err(|error| bad(&error))?);
            is_empty = false;
        }
        let set = set.build().map_err(|error| BadGlob {
            pattern: error.glob().unwrap_or_default().to_owned(),
            reason: error.kind().to_string(),
        })?;
        Ok(Globs { set: (!is_empty).then_some(set) })
    }

    pub(crate) fn is_none(&self) -> bool {
        self.set.is_none()
    }

    pub(crate) fn matches(&self, path: &[u8], name: &[u8]) -> bool {
        self.set.as_ref().is_some_and(|set| {
            let path = path.strip_prefix(b"./").unwrap_or(path);
            set.is_match_candidate(&Candidate::from_bytes(name))
                || set.is_match_candidate(&Candidate::from_bytes(path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &[u8], expected: bool) {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap();
        let globs = Globs::new([pattern]).unwrap();
        assert_eq!(globs.matches(path, name), expected, "{pattern} against {}", path.escape_ascii());
    }

    #[test]
    fn patterns_match_the_path_or_the_name() {
        check("*.log", b"/var/log/a.log", true);
        check("*.log", b"/var/log/a.log.1", false);
        check("/var/*/a.log", b"/var/log/a.log", true);
        check("/var/*", b"/var/log/a.log", false);
        check("/var/**", b"/var/log/a.log", true);
        check("node_modules/", b"./x/node_modules", true);
        check("./x/*", b"x/y", true);
        check("x/*", b"./x/y", true);
        check("a?b", b"dir/a\xffb", true);
        check("{a,b}", b"dir/b", true);
    }

    #[test]
    fn no_pattern_matches_nothing_and_a_bad_one_is_named() {
        assert!(!Globs::none().matches(b"a", b"a"));
        assert!(Globs::new(Vec::<String>::new()).unwrap().is_none());
        let error = Globs::new(["ok", "a[b"]).unwrap_err();
        assert_eq!(error.pattern, "a[b");
        assert!(error.to_string().starts_with("understand the pattern \"a[b\": "));
    }
}
