//! A volume group as its text has it.

use super::text::{Section, Value};
use crate::fault::{Fault, damaged, plus, times};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) name: String,
    /// Counts the changes of the group.
    pub(super) state: u64,
    /// Bytes.
    pub(super) extent_size: u64,
    /// By the name that segments call them.
    pub(super) physical: BTreeMap<String, Area>,
    pub(super) logical: Vec<Logical>,
}

/// The extents of a physical volume.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// 32 characters, as in the label.
    pub(super) id: String,
    /// In bytes.
    pub(super) start: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logical {
    pub(super) name: String,
    pub(super) is_visible: bool,
    /// Or why they are not read.
    pub(super) segments: Result<Vec<Segment>, String>,
    /// Other logical volumes that it is made of, if it is refused.
    parts: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) n_extents: u64,
    /// Bytes; without meaning where there is one stripe.
    pub(super) stripe_size: u64,
    /// Name of a physical volume, and the first of its extents.
    pub(super) stripes: Vec<(String, u64)>,
}

impl Group {
    pub(super) fn read(text: &[u8]) -> Result<Group, Fault> {
        let whole = Section::read(text)?;
        let mut sections = whole.sections();
        let (Some((name, group)), None) = (sections.next(), sections.next()) else {
            return Err(damaged("metadata of LVM2 without a group, or with several", 0));
        };
        let mut physical = BTreeMap::new();
        for (name, area) in group.within("physical_volumes") {
            let start = times(area.number("pe_start")?, 512, "extents beyond all sizes")?;
            physical.insert(name.to_owned(), Area { id: area.text("id")?.replace('-', ""), start });
        }
        let logical = group.within("logical_volumes").map(|(name, section)| Logical::read(name, section));
        Ok(Group {
            id: group.text("id")?.to_owned(),
            name: permitted(name)?,
            state: group.number("seqno")?,
            extent_size: times(group.number("extent_size")?, 512, "extents beyond all sizes")?,
            physical,
            logical: logical.collect::<Result<_, _>>()?,
        })
    }

    /// Logical volumes that others are made of.
    pub(super) fn parts(&self) -> BTreeSet<&str> {
        let of_others = |logical: &'_ Logical, part: &str| part != logical.name;
        let parts = self.logical.iter().flat_map(|logical| {
            logical.parts.iter().map(String::as_str).filter(move |part| of_others(logical, part))
        });
        parts.collect()
    }

    /// Bytes of physical volumes that its logical ones have: identity, first byte, end, logical volume.
    fn runs(&self) -> impl Iterator<Item = (&str, u64, u64, &Logical)> {
        let segments = self
            .logical
            .iter()
            .flat_map(|logical| logical.segments.iter().flatten().map(move |segment| (logical, segment)));
        segments.flat_map(move |(logical, segment)| {
            let n = segment.n_extents / segment.stripes.len().max(1) as u64;
            let bytes = |extents: u64| extents.saturating_mul(self.extent_size);
            segment.stripes.iter().filter_map(move |(name, first)| {
                let area = self.physical.get(name)?;
                let start = area.start.saturating_add(bytes(*first));
                Some((area.id.as_str(), start, start.saturating_add(bytes(n)), logical))
            })
        })
    }
}

/// Logical volumes, by the identity of their group and by name, with bytes that another one has too, whatever their
/// groups call the physical volume; or that it has twice itself.
pub(super) fn shared<'g>(groups: impl Iterator<Item = &'g Group>) -> BTreeSet<(&'g str, &'g str)> {
    let mut runs: Vec<(&str, u64, u64, (&str, &str))> = Vec::new();
    for group in groups {
        let of_volume = |logical: &'g Logical| (group.id.as_str(), logical.name.as_str());
        runs.extend(group.runs().map(|(area, start, end, logical)| (area, start, end, of_volume(logical))));
    }
    runs.sort_unstable();
    let mut shared = BTreeSet::new();
    let mut before: Option<(&str, u64, (&str, &str))> = None;
    for (area, start, end, volume) in runs {
        match before {
            Some((same, until, other)) if same == area && start < until => {
                shared.extend([other, volume]);
                before = Some((area, until.max(end), volume));
            }
            _ => before = Some((area, end, volume)),
        }
    }
    shared
}

/// A name as LVM permits it: so that paths stay what they mean.
fn permitted(name: &str) -> Result<String, Fault> {
    let is_permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"+_.-".contains(&byte);
    if name.len() <= 127 && name.bytes().all(is_permitted) {
        Ok(name.to_owned())
    } else {
        Err(damaged("a name that LVM2 does not permit", 0))
    }
}

impl Logical {
    fn read(name: &str, section: &Section) -> Result<Logical, Fault> {
        let visible = Value::Text("VISIBLE".into());
        let mut numbered = Vec::new();
        let mut parts = Vec::new();
        let mut refused = None;
        for (_, segment) in section.sections().filter(|(name, _)| name.starts_with("segment")) {
            numbered.push((segment.number("start_extent")?, segment));
            match segment.text("type")? {
                "striped" | "linear" => {}
                kind => {
                    let kind = permitted(kind).unwrap_or_else(|_| "?".into());
                    refused = Some(format!("a logical volume with a segment of the kind {kind}"));
                    // An origin is read by itself, and not through what is made of it.
                    let named = segment.0.iter().filter(|(key, _)| key != "origin" || kind != "snapshot");
                    named.for_each(|(_, value)| texts(value, &mut parts));
                }
            }
        }
        numbered.sort_by_key(|(start, _)| *start);
        if numbered.len() as u64 != section.number("segment_count")? {
            return Err(damaged("a logical volume has other segments than it says", 0));
        }
        let segments = match refused {
            Some(refused) => Err(refused),
            None => Ok(in_order(&numbered)?),
        };
        let is_visible = section.list("status")?.contains(&visible);
        Ok(Logical { name: permitted(name)?, is_visible, segments, parts })
    }
}

/// All texts in a value.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Text(text) => into.push(text.clone()),
        Value::List(values) => values.iter().for_each(|value| texts(value, into)),
        Value::Number(_) | Value::Section(_) => {}
    }
}

fn in_order(numbered: &[(u64, &Section)]) -> Result<Vec<Segment>, Fault> {
    let mut end = 0;
    let mut segments = Vec::new();
    for (start, section) in numbered {
        let n_extents = section.number("extent_count")?;
        if *start != end || n_extents == 0 {
            return Err(damaged("segments of a logical volume that do not follow one another", 0));
        }
        end = plus(end, n_extents, "a logical volume beyond all sizes")?;
        let wrong = || damaged("stripes of a logical volume", *start);
        let stripes = section.list("stripes")?.chunks_exact(2).map(|pair| match pair {
            [Value::Text(name), Value::Number(first)] => Ok((name.clone(), *first)),
            _ => Err(wrong()),
        });
        let stripes = stripes.collect::<Result<Vec<_>, _>>()?;
        let n = stripes.len() as u64;
        if n == 0 || n != section.number("stripe_count")? || !n_extents.is_multiple_of(n) {
            return Err(wrong());
        }
        let stripe_size = if n == 1 { 0 } else { times(section.number("stripe_size")?, 512, "a stripe")? };
        if n > 1 && stripe_size == 0 {
            return Err(wrong());
        }
        segments.push(Segment { n_extents, stripe_size, stripes });
    }
    Ok(segments)
}
