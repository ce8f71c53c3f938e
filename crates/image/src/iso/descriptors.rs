//! The descriptors from sector 16 on: which trees there are, and what else the disc says that it holds.

use super::record::Record;
use super::{FIRST, SECTOR};
use crate::fault::{Fault, damaged, le32, size};
use crate::reader::{ImageReader, read_vec};

/// Linux looks no further for those of UDF, and for no more of ISO9660.
const MOST: u64 = 4096;

/// The descriptor of a tree, and the sector that it is in.
pub(super) struct Descriptor {
    pub(super) nth: u64,
    sector: Vec<u8>,
}

impl Descriptor {
    pub(super) fn root(&self) -> Result<Record, Fault> {
        Record::read(self.root_bytes(), self.nth * SECTOR)
    }

    fn root_bytes(&self) -> &[u8] {
        &self.sector[156..190]
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.sector
    }

    /// Whether names are in UCS-2.
    pub(super) fn is_joliet(&self) -> bool {
        self.sector[0] == 2
            && [b"%/@", b"%/C", b"%/E"].iter().any(|escape| self.sector[88..].starts_with(*escape))
    }
}

#[derive(Default)]
pub(super) struct Descriptors {
    /// The primary one is the first; each of another root.
    pub(super) trees: Vec<Descriptor>,
    /// Blocks of the catalogues of El Torito.
    pub(super) catalogues: Vec<u32>,
    /// What is on the disc besides and is not looked at.
    pub(super) beside: Vec<String>,
}

impl Descriptors {
    pub(super) fn read(image: &dyn ImageReader) -> Result<Descriptors, Fault> {
        let mut found = Descriptors::default();
        let (mut is_over, mut has_udf) = (false, false);
        for nth in FIRST..FIRST + MOST {
            let Ok(sector) = read_vec(image, nth * SECTOR, size(SECTOR)?) else { break };
            match &sector[1..6] {
                b"CD001" if !is_over => is_over = !found.take(nth, sector)?,
                b"NSR02" | b"NSR03" => has_udf = true,
                [0, ..] => break,
                _ => {}
            }
            if nth + 1 == FIRST + MOST {
                found.beside.push(format!("more than {MOST} descriptors"));
            }
        }
        if has_udf {
            found.beside.push("a UDF volume beside ISO9660; it was not looked at".into());
        }
        // What only supplements a tree is none.
        match found.trees.first() {
            Some(first) if first.bytes()[0] == 1 => Ok(found),
            _ => Err(damaged("no primary descriptor of ISO9660", FIRST * SECTOR)),
        }
    }

    /// Takes the next one; `false` if it is the last.
    fn take(&mut self, nth: u64, sector: Vec<u8>) -> Result<bool, Fault> {
        let unlooked = |what: &str| format!("{what} at sector {nth}; it was not looked at");
        match sector[0] {
            0 if sector[7..].starts_with(b"EL TORITO SPECIFICATION") => {
                self.catalogues.push(le32(&sector, 71)?);
            }
            0 => self.beside.push(unlooked("a boot record of an unknown system")),
            1 | 2 => {
                let descriptor = Descriptor { nth, sector };
                if !self.trees.iter().any(|known| known.root_bytes() == descriptor.root_bytes()) {
                    let at = self.trees.iter().take_while(|known| known.bytes()[0] == 1).count();
                    let at = if descriptor.bytes()[0] == 1 { at } else { self.trees.len() };
                    self.trees.insert(at, descriptor);
                }
            }
            255 => return Ok(false),
            3 => self.beside.push(unlooked("a partition of the disc")),
            _ => self.beside.push(unlooked("a descriptor of an unknown kind")),
        }
        Ok(true)
    }
}
