//! A clean place to run the binary in, and what came of it.

use hashsweep_sim::{Simulator, World};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A home of its own for every test; nothing of the user's configuration or state is seen.
pub(crate) struct Lab {
    home: TempDir,
}

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Lab {
    pub(crate) fn new() -> Lab {
        Lab { home: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.home.path().join(Path::new(name.as_ref()))
    }

    pub(crate) fn write(&self, name: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hashsweep"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        let run: Run = self.command().args(args).output().unwrap().into();
        assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        run
    }

    /// The latest sweep's summary, with the conservation law checked.
    pub(crate) fn totals(&self, case: &Path) -> serde_json::Value {
        let run = self.run([OsStr::new("report"), "--json".as_ref(), "--case".as_ref(), case.as_os_str()]);
        let totals: serde_json::Value =
            serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.stderr));
        conserves(&totals);
        totals
    }
}

/// Rows in are rows out, each with exactly one outcome; digests likewise.
pub(crate) fn conserves(totals: &serde_json::Value) {
    let sum = |object: &serde_json::Value| object.as_object().unwrap().values().map(number).sum::<u64>();
    assert_eq!(totals["balanced"], true, "{totals:#}");
    assert_eq!(sum(&totals["outcomes"]), number(&totals["rows"]), "{totals:#}");
    assert_eq!(sum(&totals["digests"]), number(&totals["distinct"]), "{totals:#}");
}

pub(crate) fn number(value: &serde_json::Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, code, "{}", self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Run {
        assert!(self.stderr.contains(words), "no '{words}' in:\n{}", self.stderr);
        self
    }
}

/// The rows of a CSV report by path.
pub(crate) fn rows(csv: &[u8]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(csv);
    let mut rows = BTreeMap::new();
    for row in reader.deserialize::<BTreeMap<String, String>>() {
        let row = row.unwrap();
        assert!(rows.insert(row["path"].clone(), row).is_none(), "a path stands twice");
    }
    rows
}

/// The repository's fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").canonicalize().unwrap()
}

/// A simulator beside the binary, with a runtime to live on.
pub(crate) struct Beside {
    // Dropped before the runtime it runs on.
    simulator: Option<Simulator>,
    runtime: tokio::runtime::Runtime,
}

impl Beside {
    pub(crate) fn new(world: World) -> Beside {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let simulator = runtime.block_on(Simulator::start(world)).unwrap();
        Beside { simulator: Some(simulator), runtime }
    }

    pub(crate) fn url(&self) -> String {
        self.simulator.as_ref().unwrap().url()
    }

    pub(crate) fn witness(&self) -> hashsweep_sim::Witness {
        self.simulator.as_ref().unwrap().witness()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _inside = self.runtime.enter();
        self.simulator.take();
    }
}
