//! `hashsweep sim`: the simulator as a server.

use crate::args::{Sim, Switches};
use crate::exit::Exit;
use crate::shell::{say, stop_on_signals};
use anyhow::Context;
use hashsweep_sim::{Listen, Simulator, World};
use std::io::Write;
use toml::{Table, Value};

pub(crate) fn run(sim: &Sim) -> anyhow::Result<Exit> {
    let world = World::from_toml(&world(sim)?)?;
    let listen = Listen { address: sim.listen, tls: sim.tls };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let stop = stop_on_signals().context("listen for signals")?;
        let simulator =
            Simulator::start_on(world, listen).await.with_context(|| format!("listen on {}", sim.listen))?;
        if let (Some(path), Some(pem)) = (&sim.ca_out, simulator.ca_pem()) {
            std::fs::write(path, pem).with_context(|| format!("write {}", path.display()))?;
        }
        writeln!(std::io::stdout(), "{}", simulator.url())?;
        say("simulating until Ctrl-C; its verdicts say nothing about any file");
        stop.cancelled().await;
        let seen = simulator.witness();
        say(format!("{} requests, {} units charged", seen.requests, seen.charged()));
        Ok(Exit::Clean)
    })
}

/// The world file with the switches of the command line over it.
fn world(sim: &Sim) -> anyhow::Result<String> {
    let text = match &sim.world {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?,
        None => String::new(),
    };
    let mut table: Table = text.parse().context("read the world file")?;
    let Switches {
        unknown_mode,
        invalid_mode,
        charge_mode,
        order,
        duplicates,
        uppercase,
        over_limit,
        rate_limit_rps,
        retry_after,
        retry_after_s,
        allow_last,
        null_fields,
        gzip,
        dialect,
        latency_ms,
        starts_at,
        verdicts,
        quota_daily,
        quota_monthly,
    } = &sim.switches;
    let words = [
        ("unknown_mode", unknown_mode),
        ("invalid_mode", invalid_mode),
        ("charge_mode", charge_mode),
        ("order", order),
        ("duplicates", duplicates),
        ("uppercase", uppercase),
        ("over_limit", over_limit),
        ("retry_after", retry_after),
        ("dialect", dialect),
        ("starts_at", starts_at),
        ("verdicts", verdicts),
    ];
    for (name, word) in words {
        if let Some(word) = word {
            table.insert(name.to_owned(), Value::String(word.clone()));
        }
    }
    if let Some(rate) = rate_limit_rps {
        let rate = rate.parse().map_or_else(|_| Value::String(rate.clone()), Value::Integer);
        table.insert("rate_limit_rps".to_owned(), rate);
    }
    for (name, number) in [("retry_after_s", retry_after_s), ("latency_ms", latency_ms)] {
        if let Some(number) = number {
            table.insert(name.to_owned(), Value::Integer(*number));
        }
    }
    for (name, is_on) in [("allow_last", allow_last), ("null_fields", null_fields), ("gzip", gzip)] {
        if *is_on {
            table.insert(name.to_owned(), Value::Boolean(true));
        }
    }
    for (period, limit) in [("day", quota_daily), ("month", quota_monthly)] {
        if let Some(limit) = limit {
            let quota = Table::from_iter([
                ("period".to_owned(), Value::String(period.to_owned())),
                ("limit".to_owned(), Value::Integer(*limit)),
            ]);
            let quotas = table.entry("quota").or_insert_with(|| Value::Array(Vec::new()));
            let quotas = quotas.as_array_mut().context("quota in the world file is no list")?;
            quotas.retain(|there| there.get("period").and_then(Value::as_str) != Some(period));
            quotas.push(Value::Table(quota));
        }
    }
    toml::to_string(&table).context("put the switches together")
}
