//! The simulator as a program, for judges that speak HTTP: `serve [--listen ADDRESS] [--tls] [--world FILE]
//! [--ca-out FILE]`. It prints its address and serves until its standard input ends.

#![expect(clippy::print_stdout, reason = "whoever started it reads the address")]

use hashsweep_sim::{Listen, Simulator, World};
use std::{env, error::Error, fs, io};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut listen = Listen::default();
    let mut world = World::default();
    let mut ca_out = None;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--listen" => listen.address = value()?.parse()?,
            "--tls" => listen.tls = true,
            "--world" => world = World::from_toml(&fs::read_to_string(value()?)?)?,
            "--ca-out" => ca_out = Some(value()?),
            _ => return Err(format!("there is no {argument}").into()),
        }
    }
    let simulator = Simulator::start_on(world, listen).await?;
    if let (Some(path), Some(pem)) = (ca_out, simulator.ca_pem()) {
        fs::write(path, pem)?;
    }
    println!("{}", simulator.url());
    tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
    Ok(())
}
