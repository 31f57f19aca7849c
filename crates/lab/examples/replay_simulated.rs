//! Replays a trace against simulated servers, client-side round robin: a first look at a trace, and
//! the baseline that a gateway has to beat.
//!
//! ```text
//! cargo run --release -p lab --example replay_simulated -- TRACE [REQUESTS] [SERVERS] [SCALE] [RATE_SCALE]
//! ```

use std::error::Error;

use clap::Parser;
use lab::bench::ReplayOptions;
use simulator::{SimConfig, Simulator};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    replay: ReplayOptions,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let get = |index: usize, default: &str| {
        arguments
            .get(index)
            .cloned()
            .unwrap_or_else(|| default.to_owned())
    };
    let trace = arguments.first().ok_or("give a trace file")?;
    let (requests, servers, scale, rate) = (get(1, "200"), get(2, "8"), get(3, "20"), get(4, "1"));
    let mut command = vec!["replay".to_owned(), "--trace".to_owned(), trace.clone()];
    for (option, value) in [
        ("--requests", requests),
        ("--time-scale", scale.clone()),
        ("--rate-scale", rate),
    ] {
        command.extend([option.to_owned(), value]);
    }
    let mut handles = Vec::new();
    for number in 0..servers.parse::<u32>()? {
        let config = SimConfig {
            name: format!("sim-{number}"),
            time_scale: scale.parse()?,
            ..SimConfig::default()
        };
        let simulator = Simulator::new(config)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        command.extend([
            "--endpoint".to_owned(),
            format!("http://{}", listener.local_addr()?),
        ]);
        handles.push(simulator.handle());
        tokio::spawn(simulator.serve(listener, CancellationToken::new()));
    }
    let options = Cli::try_parse_from(command)?.replay;
    let finished = options.run(CancellationToken::new()).await?;
    println!("{}", finished.text);
    for (number, handle) in handles.iter().enumerate() {
        let stats = handle.stats();
        let (mean_ms, max_ms) = (stats.lag_mean_s * 1e3, stats.lag_max_s * 1e3);
        println!(
            "sim-{number}: {} requests, lag mean {mean_ms:.2} ms, max {max_ms:.2} ms",
            stats.received
        );
    }
    Ok(())
}
