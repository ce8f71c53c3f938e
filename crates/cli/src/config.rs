//! The configuration file and the credentials: where secrets enter, and nowhere else.

use anyhow::{Context, bail};
use hashsweep_spectra::{Credentials, Secret};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `$XDG_CONFIG_HOME/hashsweep/config.toml`. Every key is optional; an unknown one is an error, so that a typing
/// mistake does not silently change a run.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) api_url: Option<String>,
    pub(crate) ca_cert: Option<PathBuf>,
    pub(crate) proxy: Option<String>,
    pub(crate) rate: Option<String>,
    pub(crate) concurrency: Option<std::num::NonZeroUsize>,
    pub(crate) reserve: Option<u64>,
    #[serde(default)]
    pub(crate) cache: Cache,
    username: Option<String>,
    password: Option<String>,
}

/// `[cache]`: how long an answer counts, by its verdict.
#[derive(Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cache {
    pub(crate) malicious: Option<String>,
    pub(crate) suspicious: Option<String>,
    pub(crate) unknown: Option<String>,
    pub(crate) known: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialsFile {
    username: String,
    password: String,
}

impl Config {
    /// Reads the user's file; none is as good as an empty one.
    pub(crate) fn load() -> anyhow::Result<Config> {
        let Some(path) = home("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("config.toml")) else {
            return Ok(Config::default());
        };
        let Some((text, private)) = read(&path)? else { return Ok(Config::default()) };
        let config: Config = parse(&path, &text)?;
        if config.password.is_some() || config.proxy.as_ref().is_some_and(|proxy| proxy.contains('@')) {
            refuse_shared(&path, private)?;
        }
        Ok(config)
    }

    /// The first of `--credentials`, the environment and the configuration that has any.
    pub(crate) fn credentials(&self, file: Option<&Path>) -> anyhow::Result<Option<Credentials>> {
        if let Some(path) = file {
            let (text, private) =
                read(path)?.with_context(|| format!("no credentials file at {}", path.display()))?;
            refuse_shared(path, private)?;
            let CredentialsFile { username, password } = parse(path, &text)?;
            return Ok(Some(Credentials { username, password: Secret::new(password) }));
        }
        let from = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let pair = match (from("SPECTRA_USERNAME"), from("SPECTRA_PASSWORD")) {
            (None, None) => (self.username.clone(), self.password.clone()),
            pair => pair,
        };
        match pair {
            (Some(username), Some(password)) => {
                Ok(Some(Credentials { username, password: Secret::new(password) }))
            }
            (None, None) => Ok(None),
            (Some(_), None) => bail!("there is a user name but no password\n  hint: set SPECTRA_PASSWORD"),
            (None, Some(_)) => bail!("there is a password but no user name\n  hint: set SPECTRA_USERNAME"),
        }
    }
}

/// A directory of ours under a base that the environment names.
pub(crate) fn home(variable: &str, fallback: &str) -> Option<PathBuf> {
    // A relative base is invalid and to be ignored (XDG base directory specification).
    let base = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(fallback)))?;
    Some(base.join("hashsweep"))
}

/// The text, and whether only its owner can read it. Looked at through one descriptor, so that the file judged is
/// the file read.
fn read(path: &Path) -> anyhow::Result<Option<(String, bool)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
    };
    let mode = file.metadata()?.mode();
    let private = mode & 0o077 == 0 || (mode & 0o007 == 0 && is_given_by_systemd(path));
    let mut text = String::new();
    file.read_to_string(&mut text).with_context(|| format!("read {}", path.display()))?;
    Ok(Some((text, private)))
}

/// Whether a file is one of the credentials that systemd hands to a service, which nobody else can reach. For a service
/// with a user of its own it lets that user in by an access list, which shows in the bits of the group.
fn is_given_by_systemd(path: &Path) -> bool {
    let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    directory.is_some_and(|directory| directory.is_absolute() && path.parent() == Some(&directory))
}

fn refuse_shared(path: &Path, private: bool) -> anyhow::Result<()> {
    if private {
        return Ok(());
    }
    bail!("{0} holds a password and others can read it\n  hint: chmod 600 {0}", path.display())
}

/// toml's own message quotes the line, and what it says of a wrong type names the value: either may be the
/// password. Only the place is said then.
fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> anyhow::Result<T> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        let names_a_value = ["invalid type", "invalid value", "invalid length"];
        let what = match e.message() {
            message if names_a_value.iter().any(|words| message.contains(words)) => {
                "a value of the wrong type"
            }
            message => message,
        };
        anyhow::anyhow!("{}, line {line}: {what}", path.display())
    })
}
