//! The text of a VMDK: settings as `name=value`, extents as lines of their own.

use crate::fault::{Fault, damaged};

/// A 2 TB disk in pieces of 2 GB has a thousand.
const MOST_EXTENTS: usize = 65_536;
const NO_PARENT: u32 = u32::MAX;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) cid: u32,
    /// The parent's name and what its content must be called.
    pub(super) parent: Option<(String, u32)>,
    pub(super) extents: Vec<Extent>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) sectors: u64,
    pub(super) form: Form,
    pub(super) file: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    Sparse,
    /// Begins at this sector of its file.
    Flat {
        start: u64,
    },
    Zero,
}

impl Descriptor {
    pub(super) fn read(text: &[u8]) -> Result<Descriptor, Fault> {
        let text = String::from_utf8_lossy(text);
        // A descriptor within an extent is followed by zeros.
        let text = text.split('\0').next().unwrap_or_default();
        let mut descriptor = Descriptor::default();
        let (mut parent_cid, mut hint) = (NO_PARENT, None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(extent) = Extent::read(line)? {
                if descriptor.extents.len() == MOST_EXTENTS {
                    return Err(Fault::Limit { what: "extents of a VMDK", limit: MOST_EXTENTS as u64 });
                }
                descriptor.extents.push(extent);
                continue;
            }
            // Passed over, an extent in another spelling would be missing in silence.
            let setting = line.split_once('=').filter(|(name, _)| !name.trim().contains(char::is_whitespace));
            let (name, value) = setting
                .ok_or_else(|| damaged("a line of the descriptor that is neither setting nor extent", 0))?;
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "cid" => descriptor.cid = hexadecimal(value)?,
                "parentcid" => parent_cid = hexadecimal(value)?,
                "parentfilenamehint" => hint = Some(value.to_owned()),
                name if name.starts_with("encryption.") => {
                    return Err(Fault::Unsupported("an encrypted VMDK".into()));
                }
                _ => {}
            }
        }
        if parent_cid != NO_PARENT {
            let hint =
                hint.ok_or_else(|| Fault::Missing("the name of the VMDK that this one changes".into()))?;
            descriptor.parent = Some((hint, parent_cid));
        }
        if descriptor.extents.is_empty() {
            return Err(damaged("a VMDK that names no extents", 0));
        }
        Ok(descriptor)
    }
}

fn hexadecimal(value: &str) -> Result<u32, Fault> {
    u32::from_str_radix(value, 16).map_err(|_| damaged("a content id that is no number", 0))
}

impl Extent {
    /// `None`: the line is no extent.
    fn read(line: &str) -> Result<Option<Extent>, Fault> {
        let mut words = line.splitn(4, char::is_whitespace);
        if !matches!(words.next(), Some("RW" | "RDONLY" | "NOACCESS")) {
            return Ok(None);
        }
        let wrong = || damaged("an extent's line in the descriptor", 0);
        let sectors = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
        let kind = words.next().ok_or_else(wrong)?;
        let rest = words.next().unwrap_or_default().trim();
        let quoted = rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (file, rest) = match quoted {
            Some((file, rest)) => (Some(file.to_owned()), rest.trim()),
            None => (None, rest),
        };
        let form = match kind {
            "SPARSE" => Form::Sparse,
            "FLAT" | "VMFS" => {
                let start = rest.split_whitespace().next().map_or(Ok(0), str::parse);
                Form::Flat { start: start.map_err(|_| wrong())? }
            }
            "ZERO" => Form::Zero,
            other => return Err(Fault::Unsupported(format!("VMDK with an extent of the kind {other:?}"))),
        };
        Ok(Some(Extent { sectors, form, file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<Descriptor, &str>) {
        let read = Descriptor::read(text.as_bytes()).map_err(|fault| fault.to_string());
        assert_eq!(read, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn descriptors_are_read_or_refused() {
        let extent = |sectors, form, file: Option<&str>| Extent { sectors, form, file: file.map(Into::into) };
        check(
            "# Disk DescriptorFile\nCID=0000ff00\nparentCID=ffffffff\nRW 8 FLAT \"a b-flat.vmdk\" 16\n\
             RW 4 ZERO\nRDONLY 2 SPARSE \"x.vmdk\"\n\0garbage",
            Ok(Descriptor {
                cid: 0xff00,
                parent: None,
                extents: vec![
                    extent(8, Form::Flat { start: 16 }, Some("a b-flat.vmdk")),
                    extent(4, Form::Zero, None),
                    extent(2, Form::Sparse, Some("x.vmdk")),
                ],
            }),
        );
        check(
            "CID=1\nparentCID=2\nparentFileNameHint=\"/vm/base.vmdk\"\nRW 1 SPARSE \"d\"",
            Ok(Descriptor {
                cid: 1,
                parent: Some(("/vm/base.vmdk".into(), 2)),
                extents: vec![extent(1, Form::Sparse, Some("d"))],
            }),
        );
        check("RW 1 SESPARSE \"d\"", Err("not supported: VMDK with an extent of the kind \"SESPARSE\""));
        check("encryption.keySafe = \"x\"", Err("not supported: an encrypted VMDK"));
        check("CID=1", Err("damaged: a VMDK that names no extents at byte 0"));
        check("RW many FLAT \"d\"", Err("damaged: an extent's line in the descriptor at byte 0"));
        let neither = "damaged: a line of the descriptor that is neither setting nor extent at byte 0";
        check("RW 1 ZERO\nrw 1 FLAT \"d\"", Err(neither));
        check("RW 1 ZERO\nrw 1 FLAT \"d=1\"", Err(neither));
        check("parentCID=2\nRW 1 FLAT \"d\"", Err("missing: the name of the VMDK that this one changes"));
    }
}
