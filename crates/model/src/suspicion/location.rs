//! Where a file lies: in a place where anybody writes, in one whose files start by themselves, or neither.

/// Where a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// Anywhere else.
    Ordinary,
    /// Where programs and strangers may write: temporary directories, downloads, web roots.
    Writable,
    /// Where what lies there is started by the system or at a login.
    Startup,
}

/// Directories one below the other, anywhere in a path: evidence is mounted somewhere. `*` is any one directory;
/// at the end of a name it is any ending. Letter case does not matter.
type Directories = &'static [&'static str];

const STARTUP: &[Directories] = &[
    &["etc", "cron*"],
    &["var", "spool", "cron"],
    &["var", "spool", "at"],
    &["etc", "init.d"],
    &["etc", "rc*.d"],
    &["etc", "init"],
    &["etc", "profile.d"],
    &["etc", "xdg", "autostart"],
    &["etc", "systemd", "system"],
    &["etc", "systemd", "user"],
    &["run", "systemd", "system"],
    &["lib", "systemd", "system"],
    &["lib", "systemd", "user"],
    &[".config", "autostart"],
    &[".config", "systemd", "user"],
    &["etc", "udev", "rules.d"],
    &["etc", "update-motd.d"],
    &["LaunchAgents"],
    &["LaunchDaemons"],
    &["StartupItems"],
    &["Start Menu", "Programs", "Startup"],
    &["System32", "Tasks"],
    &["Windows", "Tasks"],
    &["GroupPolicy", "*", "Scripts"],
];

const WRITABLE: &[Directories] = &[
    &["tmp"],
    &["temp"],
    &["dev", "shm"],
    &["run", "user"],
    &["var", "lock"],
    &["Downloads"],
    &["AppData"],
    &["Local Settings"],
    &["ProgramData"],
    &["PerfLogs"],
    &["Users", "Public"],
    &["$Recycle.Bin"],
    &["Temporary Internet Files"],
    &[".cache"],
    &["Trash"],
    &["var", "www"],
    &["srv", "www"],
    &["srv", "http"],
    &["htdocs"],
    &["public_html"],
    &["wwwroot"],
    &["webapps"],
    &["nginx", "html"],
    &["wp-content"],
    &["uploads"],
];

impl Location {
    /// Where the files in a directory lie, by its absolute path. Some 1.5 µs: for a file each, remember it.
    pub fn of(directory: &[u8]) -> Location {
        let names: Vec<&[u8]> =
            directory.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
        let lies_in = |places: &[Directories]| places.iter().any(|place| holds(&names, place));
        if lies_in(STARTUP) {
            Location::Startup
        } else if lies_in(WRITABLE) {
            Location::Writable
        } else {
            Location::Ordinary
        }
    }
}

fn holds(names: &[&[u8]], place: Directories) -> bool {
    names.windows(place.len()).any(|window| window.iter().zip(place).all(|(name, wanted)| is(name, wanted)))
}

fn is(name: &[u8], wanted: &str) -> bool {
    match wanted.split_once('*') {
        None => name.len() == wanted.len() && name.eq_ignore_ascii_case(wanted.as_bytes()),
        Some((before, after)) => {
            name.len() >= before.len() + after.len()
                && name[..before.len()].eq_ignore_ascii_case(before.as_bytes())
                && name[name.len() - after.len()..].eq_ignore_ascii_case(after.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(path: &str, expected: Location) {
        assert_eq!(Location::of(path.as_bytes()), expected, "{path}");
    }

    #[test]
    fn paths_tell_where_a_file_lies() {
        use Location::{Ordinary, Startup, Writable};
        check("/tmp", Writable);
        check("/var/tmp/a/b", Writable);
        check("/dev/shm", Writable);
        check("/mnt/evidence/Windows/Temp", Writable);
        check("/mnt/c/Users/ana/AppData/Local", Writable);
        check("/mnt/c/USERS/ANA/DOWNLOADS", Writable);
        check("/var/www/html", Writable);
        check("/etc/cron.d", Startup);
        check("/etc/crontabs", Startup);
        check("/etc/rc3.d", Startup);
        check("/usr/lib/systemd/system", Startup);
        check("/home/ana/.config/autostart", Startup);
        check("/c/Users/a/AppData/Roaming/Microsoft/Windows/Start Menu/Programs/Startup", Startup);
        check("/c/Windows/System32/GroupPolicy/User/Scripts", Startup);
        check("/x/GroupPolicy/Scripts", Ordinary);
        check("/usr/bin", Ordinary);
        check("/srv/tmpfiles", Ordinary);
        check("/etc", Ordinary);
        check("/etc/./cron.d", Startup);
        check("/home/ana/tmpfiles", Ordinary);
        check("", Ordinary);
    }

    proptest! {
        #[test]
        fn any_path_lies_somewhere(path in prop::collection::vec(prop_oneof![Just(b'/'), Just(b'*'), any::<u8>()], 0..300)) {
            let _ = Location::of(&path);
        }

        #[test]
        fn what_lies_below_a_place_lies_in_it(below in prop::collection::vec("[a-z]{1,5}", 1..6)) {
            let path = format!("/dev/shm/{}", below.join("/"));
            prop_assert_ne!(Location::of(path.as_bytes()), Location::Ordinary);
        }
    }
}
