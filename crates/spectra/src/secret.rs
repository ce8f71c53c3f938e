//! Values that must not be seen.

use std::fmt;

/// A text that prints as `[redacted]` and is handed out only by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A Basic-auth account, for example `u/company/name` (vendor, troubleshooting: 403).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Printed in messages; not a secret.
    pub username: String,
    /// Never printed.
    pub password: Secret,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let credentials = Credentials { username: "u/x/y".into(), password: Secret::new("hunter2") };
        let shown = format!("{credentials:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
    }
}
