//! The terminal and the process around us: streams, signals, threads, the clock.

use crate::args::{Talk, When};
use crate::exit::Exit;
use hashsweep_case::Maker;
use hashsweep_model::Stamp;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What of the terminal matters to a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// Colour on either stream.
    pub(crate) colour: bool,
    pub(crate) talk: Talk,
}

impl Terminal {
    pub(crate) fn new(talk: Talk) -> Terminal {
        // NO_COLOR counts when it is set and not empty (no-color.org).
        let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        Terminal { stdout: io::stdout().is_terminal(), stderr: io::stderr().is_terminal(), colour, talk }
    }

    pub(crate) fn draws_progress(&self) -> bool {
        match self.talk.progress {
            When::Always => true,
            When::Never => false,
            When::Auto => self.stderr && !self.talk.quiet,
        }
    }

    /// Whether a line now and then takes the place of progress.
    pub(crate) fn beats(&self) -> bool {
        !self.talk.quiet && self.talk.progress != When::Never
    }

    /// Columns of stdout, if it is a terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        if self.stdout { columns(io::stdout()) } else { None }
    }

    /// Columns of stderr, if it is a terminal.
    pub(crate) fn width_of_stderr(&self) -> Option<usize> {
        if self.stderr { columns(io::stderr()) } else { None }
    }
}

fn columns(of: impl std::os::fd::AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(of).ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0)
}

/// Prints what went wrong and turns it into an exit code. A closed pipe is a normal end: `hashsweep … | head`.
pub(crate) fn say_errors_of(result: anyhow::Result<Exit>) -> Exit {
    match result {
        Ok(exit) => exit,
        Err(error) if is_broken_pipe(&error) => Exit::Clean,
        Err(error) => {
            say(format!("hashsweep: {}", lines_safe(&chained(&error))));
            Exit::CouldNotRun
        }
    }
}

/// The causes behind one another, less those that the message before them has said already.
fn chained(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Error texts hold file names and the service's words: no control sequence may pass, our own line breaks may.
pub(crate) fn lines_safe(text: &str) -> String {
    text.split('\n')
        .map(|line| hashsweep_report::safe::terminal(line.as_bytes()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// JSON as one line that a terminal cannot obey. Line breaks stand only between its tokens, where they are blanks;
/// DEL and C1 only within its texts, where an escape says the same.
pub(crate) fn json_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | '\r' => line.push(' '),
            '\u{7f}'..='\u{9f}' => {
                write!(line, "\\u{:04x}", u32::from(c)).expect("a String takes every text");
            }
            c => line.push(c),
        }
    }
    line
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// A line to people on stderr.
pub(crate) fn say(line: impl AsRef<str>) {
    // If stderr is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{}", line.as_ref());
}

/// Lets a write beyond a limit on the size of files fail like one to a full disk, which is said; else the signal that
/// comes with it would end the process without a word. A handler of tokio's stays when its runtime has gone.
pub(crate) fn outlive_file_size_limits() {
    let listen = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _inside = runtime.enter();
        signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
    };
    if let Err(error) = listen() {
        tracing::debug!("a limit on the size of files ends this process: {error}");
    }
}

/// A token that the first Ctrl-C or SIGTERM cancels; the second ends the process at once. The case's journal
/// remembers what was on its way.
pub(crate) fn stop_on_signals() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            };
            if token.is_cancelled() {
                crate::outputs::discard_halves();
                std::process::exit(code);
            }
            say("stopping: what is on its way is awaited; once more stops at once");
            token.cancel();
        }
    });
    Ok(stop)
}

/// The steady clock, for figures that people read.
#[expect(clippy::disallowed_methods, reason = "the named shell: figures of speed are measured here")]
pub(crate) fn steady_now() -> Instant {
    Instant::now()
}

/// A moment as people read it: local, with the zone, because quotas turn at midnight elsewhere.
pub(crate) fn day_and_time(at: Stamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map(|at| at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string())
        .unwrap_or_default()
}

/// Who begins a sweep or a run, for its case to remember.
pub(crate) fn maker() -> Maker {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let typed: Vec<OsString> = std::env::args_os().skip(1).collect();
    Maker {
        host: Some(host).filter(|host| !host.is_empty()),
        tool: Some(concat!("hashsweep ", env!("CARGO_PKG_VERSION")).to_owned()),
        arguments: Some(serde_json::json!(without_secrets(&typed)).to_string()),
    }
}

/// Options that take a URL, which may begin with a user name and a password. They are refused where they are used, but
/// not where nobody is asked.
const TAKE_A_URL: [&str; 2] = ["--proxy", "--api-url"];

/// Arguments as they are kept. No option takes a secret, but a URL can hold one: who speaks, and what stands behind
/// its path. Whatever looks like a URL is cut, wherever it stands.
fn without_secrets(typed: &[OsString]) -> Vec<String> {
    let mut follows_option = false;
    let mut kept = Vec::with_capacity(typed.len());
    for argument in typed {
        let text = hashsweep_report::safe::text(argument.as_bytes()).into_owned();
        let option = TAKE_A_URL.iter().find(|option| text.starts_with(&format!("{option}=")));
        let n_before = match (option, text.find("://")) {
            _ if follows_option => Some(0),
            (Some(option), _) => Some(option.len() + 1),
            (None, at) => at.map(|at| at + 3),
        };
        follows_option = TAKE_A_URL.contains(&text.as_str());
        kept.push(n_before.map_or_else(|| text.clone(), |n| without_secret(&text, n)));
    }
    kept
}

/// The URL that begins behind `n_before` bytes, or a little before, without who speaks and without its query.
fn without_secret(text: &str, n_before: usize) -> String {
    let (before, url) = text.split_at(n_before);
    let (scheme, url) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    // A password may hold any of /, ? and #, where somebody forgot to escape it.
    let (who, rest) = match url.rfind('@') {
        Some(at) => ("[redacted]", &url[at..]),
        None => ("", url),
    };
    format!("{before}{scheme}{who}{}", rest.split(['?', '#']).next().unwrap_or_default())
}

/// Lets a deep walk keep many directories open: the soft limit on descriptors goes up to the hard one.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Not being allowed to is no trouble: the walk bounds its own descriptors.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[cfg(test)]
mod tests {
    use super::{json_line, without_secrets};

    #[test]
    fn no_secret_of_an_argument_is_kept() {
        let check = |typed: &[&str], kept: &[&str]| {
            let typed: Vec<_> = typed.iter().map(Into::into).collect();
            assert_eq!(without_secrets(&typed), kept);
        };
        check(&["scan", "/srv/a@b", "--case=/a b/c@d.db"], &["scan", "/srv/a@b", "--case=/a b/c@d.db"]);
        check(&["--api-url", "https://h:8443/api"], &["--api-url", "https://h:8443/api"]);
        check(&["--api-url", "https://u:p@h/path?token=t#f"], &["--api-url", "https://[redacted]@h/path"]);
        check(&["--proxy=http://u:p@proxy:3128", "x"], &["--proxy=http://[redacted]@proxy:3128", "x"]);
        check(&["--proxy", "u:p@proxy:3128", "a@b"], &["--proxy", "[redacted]@proxy:3128", "a@b"]);
        check(&["--proxy=u:p@proxy"], &["--proxy=[redacted]@proxy"]);
        check(&["http://u:p/@w?x@proxy:3128/?t"], &["http://[redacted]@proxy:3128/"]);
        check(&["https://h/path?token=t", "://@"], &["https://h/path", "://[redacted]@"]);
        check(&["--proxy"], &["--proxy"]);
    }

    #[test]
    fn json_stays_the_same_on_one_harmless_line() {
        let sent = "{\n\"a\":\r\n \"x\u{9b}31m\u{7f}\"}";
        let line = json_line(sent);
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(&line), value(sent));
        assert!(value(sent).is_some());
    }
}
