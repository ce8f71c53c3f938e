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
    #[cfg(debug_assertions)]
    if let Ok(moment) = std::env::var("HASHSWEEP_CRASH_AT")
        && let Err(error) = hashsweep_pipeline::crash::arm(&moment)
    {
        shell::say(format!("HASHSWEEP_CRASH_AT: {error}"));
        return Exit::CouldNotRun.into();
    }
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            if usage.use_stderr() {
                // What was typed may be a file's name, and a file's name may be anything.
                shell::say(shell::lines_safe(&usage.render().to_string()));
                return Exit::CouldNotRun.into();
            }
            // Help and version go to stdout; a closed pipe is a normal end.
            let _ = usage.print();
            return ExitCode::SUCCESS;
        }
    };
    shell::say_errors_of(commands::run(cli)).into()
}
