//! Names in UTF-16 as bytes: UTF-8, and what is no Unicode in the same manner (WTF-8), so that no two names become one.

/// The bytes of a name.
pub(crate) fn name_of(units: &[u16]) -> Vec<u8> {
    let mut name = Vec::with_capacity(units.len());
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(c) => name.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(lone) => {
                let unit = lone.unpaired_surrogate();
                let six = |shift: u16| 0x80 | (unit >> shift & 0x3f) as u8;
                name.extend_from_slice(&[0xe0 | (unit >> 12) as u8, six(6), six(0)]);
            }
        }
    }
    name
}

/// The units of little-endian bytes; an odd last byte is none.
pub(crate) fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_unicode_stay_apart() {
        assert_eq!(name_of(&[0x65e5, 0xd83e, 0xdd80]), "日🦀".as_bytes());
        assert_eq!(name_of(&[0xd800]), [0xed, 0xa0, 0x80]);
        assert_eq!(name_of(&[0xdfff, 0x41]), [0xed, 0xbf, 0xbf, 0x41]);
    }
}
