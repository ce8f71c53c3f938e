//! The person's side of hashsweep: arguments become settings, settings become a run, a run becomes an exit code.
//!
//! Only this crate reads the environment, configuration files and the terminal. It hashes nothing, asks nothing
//! and decides nothing about a fault.

mod args;
mod commands;
mod config;
mod exit;
mod json;
mod outputs;
mod progress;
mod settings;
mod shell;
mod stored;

use clap::Parser;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // clap prints help to stdout and trouble to stderr; a closed pipe is a normal end.
            let _ = usage.print();
            return if usage.use_stderr() { Exit::CouldNotRun.into() } else { ExitCode::SUCCESS };
        }
    };
    shell::say_errors_of(commands::run(cli)).into()
}
