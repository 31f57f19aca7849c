//! `plimsoll`: the one binary. Commands, wiring and the admin API; every rule lives in a room of its own.

mod access_log;
mod admin;
mod bbr;
mod bench;
mod check;
mod cli;
mod clock;
mod demo;
mod epp;
mod goflags;
mod house;
mod limits;
mod picking;
mod sim;
mod up;
mod workers;

use std::process::ExitCode;

use clap::Parser;

use cli::{Bench, Cli, Command, Lab};

fn main() -> ExitCode {
    let cli = Cli::parse_from(goflags::normalised(std::env::args_os()));
    cli::start_logging(&cli);
    limits::raise_open_files();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!(
                "plimsoll: cannot start: {error}; too few threads or file handles may be allowed here"
            );
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Demo(options) => demo::run(options).await,
            Command::Up(options) => up::run(*options).await,
            Command::Epp(options) => epp::run(*options).await,
            Command::Bbr(options) => bbr::run(*options).await,
            Command::Check(options) => check::run(&options),
            Command::Sim(options) => sim::run(options).await,
            Command::Bench(Bench::Replay(options)) => bench::replay(options).await,
            Command::Bench(Bench::Load(options)) => bench::load(options).await,
            Command::Bench(Bench::Epp(options)) => bench::epp(options).await,
            Command::Lab(Lab::Routing(options)) => bench::routing(&options),
        }
    });
    // Streams that outlived the drain must not keep the process.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("plimsoll: {failure}");
            ExitCode::FAILURE
        }
    }
}
