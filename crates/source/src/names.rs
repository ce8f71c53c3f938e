//! Names of a directory's entries, waiting for somebody to work on them.
//!
//! A directory may hold millions of directories, whose names are all kept until its own listing is through: they
//! lie one behind the other and cost their length and one byte each.

/// Names in a directory, one behind the other, gone through once.
#[derive(Default)]
pub(crate) struct Names {
    /// Each ends in a NUL.
    bytes: Vec<u8>,
    /// How many are left.
    pub(crate) len: usize,
    at: usize,
}

impl Names {
    pub(crate) fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.bytes.push(0);
        self.len += 1;
    }

    pub(crate) fn next(&mut self) -> Option<Box<[u8]>> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == 0)?;
        let name = rest[..end].into();
        self.at += end + 1;
        self.len -= 1;
        Some(name)
    }

    /// Moves what is left into names of its own.
    pub(crate) fn take(&mut self) -> Names {
        let rest = Names { bytes: self.bytes[self.at..].to_vec(), len: self.len, at: 0 };
        *self = Names::default();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_out_once_and_in_order_also_after_a_handover() {
        let mut names = Names::default();
        for name in [&b"a"[..], b"\xff\n", b"c"] {
            names.push(name);
        }
        assert_eq!(names.next().as_deref(), Some(&b"a"[..]));
        let mut rest = names.take();
        assert_eq!((names.next(), names.len, rest.len), (None, 0, 2));
        assert_eq!(rest.next().as_deref(), Some(&b"\xff\n"[..]));
        assert_eq!(rest.next().as_deref(), Some(&b"c"[..]));
        assert_eq!((rest.next(), rest.len), (None, 0));
    }
}
