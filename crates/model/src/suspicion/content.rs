//! What sort of file it is, by its first bytes, and by its name where that makes it worse.

/// What sort of file it is, most suspicious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Content {
    /// Code for a processor or a virtual machine: ELF, PE, Mach-O, DEX, Java, WebAssembly.
    Executable,
    /// Text that something runs, and links that run something.
    Script,
    /// Documents that may hold macros, scripts or exploits: OLE, OOXML, RTF, PDF.
    Document,
    /// Archives, packages, installers and disk images.
    Archive,
    /// Bytes of no known form.
    Data,
    /// Text, or nothing at all.
    Text,
    /// Pictures, sound, film, fonts.
    Media,
}

/// Bytes at an offset. The offsets of most forms are 0.
type Magic = (usize, &'static [u8]);

const EXECUTABLE: &[Magic] = &[
    (0, b"\x7fELF"),
    (0, b"MZ"),
    (0, b"ZM"),
    (0, b"\xfe\xed\xfa\xce"),
    (0, b"\xfe\xed\xfa\xcf"),
    (0, b"\xce\xfa\xed\xfe"),
    (0, b"\xcf\xfa\xed\xfe"),
    // Java, and Mach-O for several processors.
    (0, b"\xca\xfe\xba\xbe"),
    (0, b"\xca\xfe\xba\xbf"),
    (0, b"\xbe\xba\xfe\xca"),
    (0, b"dex\n"),
    (0, b"dey\n"),
    (0, b"cdex"),
    (0, b"\0asm"),
    (0, b"\x1bLua"),
    (0, b"BC\xc0\xde"),
];
const SCRIPT: &[Magic] = &[
    (0, b"#!"),
    (0, b"<?php"),
    (0, b"<%"),
    // A Windows shortcut.
    (0, b"L\0\0\0\x01\x14\x02\0"),
];
const DOCUMENT: &[Magic] = &[
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    (0, b"{\\rt"),
    // OneNote.
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d"),
    // Compiled help.
    (0, b"ITSF"),
];
const ARCHIVE: &[Magic] = &[
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"PK\x07\x08"),
    (0, b"7z\xbc\xaf\x27\x1c"),
    (0, b"Rar!\x1a\x07"),
    (0, b"MSCF"),
    (0, b"ISc("),
    (0, b"\x1f\x8b"),
    (0, b"\x1f\x9d"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ\0"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"\x04\x22\x4d\x18"),
    (0, b"LZIP"),
    (0, b"!<arch>\n"),
    (0, b"\xed\xab\xee\xdb"),
    (0, b"xar!"),
    (0, b"Cr24"),
    (0, b"MSWIM\0\0\0"),
    (0, b"hsqs"),
    (0, b"0707"),
    (0, b"\x60\xea"),
    (0, b"conectix"),
    (0, b"vhdxfile"),
    (0, b"KDMV"),
    (0, b"QFI\xfb"),
    (2, b"-lh"),
    (7, b"**ACE**"),
    (257, b"ustar"),
];
const MEDIA: &[Magic] = &[
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG\r\n\x1a\n"),
    (0, b"GIF8"),
    (0, b"RIFF"),
    (0, b"II*\0"),
    (0, b"MM\0*"),
    (0, b"\0\0\x01\0"),
    (0, b"8BPS"),
    (0, b"ID3"),
    (0, b"\xff\xfb"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"\x1a\x45\xdf\xa3"),
    (0, b"FLV\x01"),
    (0, b"\0\0\x01\xba"),
    (0, b"\0\0\x01\xb3"),
    (4, b"ftyp"),
    (0, b"OTTO"),
    (0, b"\0\x01\0\0\0"),
    (0, b"wOFF"),
    (0, b"wOF2"),
    (0, b"ttcf"),
];

/// Whether a form's magic can be found in a file with this first byte: most files are text, and most text begins
/// with a byte that no magic begins with.
const MAY_BE_KNOWN: [bool; 256] = {
    let mut may = [false; 256];
    let tables = [EXECUTABLE, SCRIPT, DOCUMENT, ARCHIVE, MEDIA];
    let mut table = 0;
    while table < tables.len() {
        let mut nth = 0;
        while nth < tables[table].len() {
            let (at, bytes) = tables[table][nth];
            if at == 0 {
                may[bytes[0] as usize] = true;
            }
            nth += 1;
        }
        table += 1;
    }
    may
};

/// Names of the first member that make a ZIP file something else than an archive.
const OFFICE_MEMBERS: &[&[u8]] =
    &[b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"xl/", b"ppt/", b"visio/", b"mimetype"];
const JAVA_MEMBERS: &[&[u8]] = &[b"META-INF/", b"AndroidManifest.xml", b"classes.dex"];

/// Of all endings that say something, the longest: `settingcontent-ms`.
const LONGEST_ENDING: usize = 17;

impl Content {
    /// Most suspicious first.
    pub const ALL: [Content; 7] = [
        Content::Executable,
        Content::Script,
        Content::Document,
        Content::Archive,
        Content::Data,
        Content::Text,
        Content::Media,
    ];

    /// As many of a file's first bytes as are looked at; more do no harm.
    pub const HEAD: usize = 512;

    /// What the first bytes of a file say.
    pub fn of_head(head: &[u8]) -> Content {
        let head = &head[..head.len().min(Content::HEAD)];
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let may_be_known = head.first().is_some_and(|first| MAY_BE_KNOWN[usize::from(*first)]);
        let holds = |(at, bytes): &Magic| {
            (may_be_known || *at > 0) && head.get(*at..).is_some_and(|rest| rest.starts_with(bytes))
        };
        let first_member =
            || head.strip_prefix(b"PK\x03\x04").and_then(|rest| rest.get(26..)).unwrap_or_default();
        let begins = |names: &[&[u8]]| names.iter().any(|name| first_member().starts_with(name));
        if EXECUTABLE.iter().any(holds) || begins(JAVA_MEMBERS) {
            Content::Executable
        } else if SCRIPT.iter().any(holds) {
            Content::Script
        } else if DOCUMENT.iter().any(holds) || begins(OFFICE_MEMBERS) || is_pdf(head) {
            Content::Document
        } else if ARCHIVE.iter().any(holds) {
            Content::Archive
        } else if MEDIA.iter().any(holds) || is_bitmap(head) {
            Content::Media
        } else if is_text(head) {
            Content::Text
        } else {
            Content::Data
        }
    }

    /// The same, or what the ending of the file's name says, whichever is more suspicious: many scripts have no
    /// mark, and a name decides what a double click does. A harmless name excuses nothing.
    #[must_use]
    pub fn under_the_name(self, path: &[u8]) -> Content {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else { return self };
        named(&name[dot + 1..]).map_or(self, |named| self.min(named))
    }

    /// Its word in a reason.
    pub const fn name(self) -> &'static str {
        match self {
            Content::Executable => "executable",
            Content::Script => "script",
            Content::Document => "document",
            Content::Archive => "archive",
            Content::Data => "data",
            Content::Text => "text",
            Content::Media => "media",
        }
    }
}

/// What a file is whose name ends like this, in whatever case, if the ending says.
fn named(ending: &[u8]) -> Option<Content> {
    let mut lower = [0; LONGEST_ENDING];
    let lower = lower.get_mut(..ending.len())?;
    lower.copy_from_slice(ending);
    lower.make_ascii_lowercase();
    let content = match &*lower {
        b"exe" | b"dll" | b"scr" | b"com" | b"pif" | b"cpl" | b"ocx" | b"sys" | b"drv" | b"efi" | b"so"
        | b"dylib" | b"ko" | b"class" | b"jar" | b"war" | b"apk" | b"dex" | b"wasm" | b"xll" | b"mui"
        | b"bpl" => Content::Executable,
        b"ps1" | b"psm1" | b"psd1" | b"ps1xml" | b"bat" | b"cmd" | b"vbs" | b"vbe" | b"js" | b"jse"
        | b"mjs" | b"cjs" | b"wsf" | b"wsh" | b"wsc" | b"sct" | b"hta" | b"lnk" | b"url" | b"scf"
        | b"inf" | b"reg" | b"sh" | b"bash" | b"zsh" | b"ksh" | b"csh" | b"fish" | b"py" | b"pyw" | b"pl"
        | b"rb" | b"lua" | b"tcl" | b"php" | b"phtml" | b"phar" | b"php5" | b"php7" | b"asp" | b"aspx"
        | b"ashx" | b"asmx" | b"jsp" | b"jspx" | b"cfm" | b"applescript" | b"scpt" | b"command" | b"au3"
        | b"ahk" | b"xsl" | b"msc" | b"settingcontent-ms" | b"application" => Content::Script,
        b"doc" | b"docm" | b"docx" | b"dot" | b"dotm" | b"dotx" | b"xls" | b"xlsm" | b"xlsx" | b"xlsb"
        | b"xlam" | b"xla" | b"xlt" | b"xltm" | b"ppt" | b"pptm" | b"pptx" | b"ppam" | b"ppsm" | b"pps"
        | b"rtf" | b"pdf" | b"one" | b"pub" | b"odt" | b"ods" | b"odp" | b"slk" | b"iqy" | b"chm"
        | b"mht" | b"mhtml" | b"eml" | b"msg" => Content::Document,
        b"zip" | b"7z" | b"rar" | b"cab" | b"msi" | b"msp" | b"msix" | b"appx" | b"iso" | b"img" | b"vhd"
        | b"vhdx" | b"dmg" | b"pkg" | b"deb" | b"rpm" | b"tar" | b"tgz" | b"gz" | b"bz2" | b"xz" | b"zst"
        | b"lz" | b"lzh" | b"arj" | b"ace" | b"wim" | b"crx" | b"xpi" | b"nupkg" | b"whl" | b"uue" => {
            Content::Archive
        }
        _ => return None,
    };
    Some(content)
}

/// Readers accept a PDF whose mark is not at its beginning, and so do those who hide one.
fn is_pdf(head: &[u8]) -> bool {
    let mut rest = head;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"PDF-") {
            return true;
        }
    }
    false
}

/// Two letters alone begin too many texts: the four bytes after the size are zero in every bitmap.
fn is_bitmap(head: &[u8]) -> bool {
    head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4])
}

/// No control characters but those of lines and terminals. Latin-1 is text as well; what is not UTF-8 but holds
/// the bytes of one alphabet cannot be told from it. UTF-16 has its mark.
fn is_text(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe")
        || head.starts_with(b"\xfe\xff")
        // Without an early end, which would keep the compiler from looking at sixteen bytes at once.
        || head.iter().fold(true, |is, byte| is & is_of_text(*byte)) && is_mostly_ascii_or_utf8(head)
}

fn is_of_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x20..=0x7e | 0x80..)
}

/// Compressed or encrypted bytes hold control characters within a few dozen; a shorter piece may pass for text.
fn is_mostly_ascii_or_utf8(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        // Cut in the middle of a character.
        Err(error) if error.error_len().is_none() => true,
        Err(_) => head.iter().filter(|byte| byte.is_ascii()).count() * 2 >= head.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(head: &[u8], expected: Content) {
        assert_eq!(Content::of_head(head), expected, "{}", head.escape_ascii());
    }

    fn zip(member: &str) -> Vec<u8> {
        let mut head = b"PK\x03\x04".to_vec();
        head.extend([0; 26]);
        head.extend(member.as_bytes());
        head
    }

    #[test]
    fn first_bytes_tell_the_sort_of_file() {
        use Content::{Archive, Data, Document, Executable, Media, Script, Text};
        for head in
            [&b"\x7fELF\x02\x01"[..], b"MZ\x90\0", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0", b"dex\n035"]
        {
            check(head, Executable);
        }
        check(b"\0asm\x01\0\0\0", Executable);
        check(&zip("META-INF/MANIFEST.MF"), Executable);
        check(b"#!/bin/sh\n", Script);
        check(b"\xef\xbb\xbf#!/usr/bin/env python", Script);
        check(b"<?php system($_GET[0]);", Script);
        check(b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0", Script);
        check(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", Document);
        check(&zip("[Content_Types].xml"), Document);
        check(&zip("word/document.xml"), Document);
        check(b"{\\rtf1\\ansi", Document);
        check(b"\n\n%PDF-1.4", Document);
        check(&zip("holiday.jpg"), Archive);
        check(b"PK\x03\x04", Archive);
        for head in
            [&b"7z\xbc\xaf\x27\x1c\0\x04"[..], b"Rar!\x1a\x07\x01\0", b"MSCF\0\0\0\0", b"\x1f\x8b\x08"]
        {
            check(head, Archive);
        }
        let mut tar = vec![b'a'; 257];
        tar.extend(b"ustar\0");
        check(&tar, Archive);
        check(b"\xff\xd8\xff\xe0\0\x10JFIF", Media);
        check(b"\0\0\0\x18ftypmp42", Media);
        check(b"BM\x36\0\x0c\0\0\0\0\0\x36", Media);
        check(b"BMW is a car", Text);
        check(b"", Text);
        check("größe".as_bytes(), Text);
        check(b"gr\xf6\xdfe und andere Worte", Text);
        check(b"\xff\xfeh\0i\0", Text);
        check(b"\0\0\0\0", Data);
        check(b"\x80\x81\x82\x83\x84\xff", Data);
        check(b"text until\x01", Data);
    }

    #[test]
    fn a_mark_behind_the_head_is_not_looked_at() {
        let mut late = vec![b' '; Content::HEAD - 1];
        late.extend(b"%PDF-1.4");
        check(&late, Content::Text);
    }

    #[test]
    fn a_name_can_make_a_file_worse_and_never_better() {
        let named = |content: Content, path: &str| content.under_the_name(path.as_bytes());
        assert_eq!(named(Content::Text, "/d/x.SettingContent-ms"), Content::Script, "the longest ending");
        assert_eq!(named(Content::Text, "/a/run.PS1"), Content::Script);
        assert_eq!(named(Content::Text, "/a/invoice.pdf.exe"), Content::Executable);
        assert_eq!(named(Content::Document, "/a/setup.msi"), Content::Document);
        assert_eq!(named(Content::Data, "/a/disk.iso"), Content::Archive);
        assert_eq!(named(Content::Executable, "/a/holiday.jpg"), Content::Executable);
        assert_eq!(named(Content::Executable, "/a/notes.js"), Content::Executable);
        assert_eq!(named(Content::Text, "/a.exe/readme"), Content::Text);
        assert_eq!(named(Content::Text, "exe"), Content::Text);
        assert_eq!(named(Content::Text, "/a/.exe"), Content::Executable);
        assert_eq!(named(Content::Text, ""), Content::Text);
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_sort_of_file(head in prop::collection::vec(any::<u8>(), 0..700), name in ".{0,12}") {
            let content = Content::of_head(&head);
            prop_assert!(content.under_the_name(name.as_bytes()) <= content);
        }
    }
}
