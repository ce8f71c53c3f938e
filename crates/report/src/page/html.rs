//! The few things that keep hostile text from becoming markup or script.

use crate::safe;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Display};

/// A text of ours or already safe for eyes, as HTML text or as an attribute in double quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// A hostile text as HTML: visible as on a terminal, and no markup.
pub(super) fn shown(bytes: &[u8]) -> String {
    Text(&safe::terminal(bytes)).to_string()
}

/// JSON that can stand in a script element: whatever could end the element, or a line of script, is an escape. Those
/// characters stand only within JSON's texts.
pub(super) fn json(value: &impl Serialize) -> String {
    let plain = crate::jsonl::to_text(value);
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// What a content security policy calls exactly this text.
pub(super) fn source_hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(Text("a<b>&\"c\"'d'é").to_string(), "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;é");
        assert_eq!(shown("x\u{202E}<script>\n".as_bytes()), "x\\u{202E}&lt;script&gt;\\x0A");
        // The value that the CSP specification's own tooling gives for this text.
        assert_eq!(
            source_hash("alert('Hello, world.');"),
            "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
        );
    }

    proptest! {
        #[test]
        fn json_in_a_page_ends_no_element_and_reads_back(text in "(\\PC|[<>&/!\\u{2028}\\u{2029}\"\\\\-]|</script>|<!--){0,20}") {
            let written = json(&text);
            let is_special = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
            prop_assert!(!written.contains(is_special));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
