//! `plimsoll sim`: simulated model servers.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use simulator::{PerfRow, SimConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::SimOptions;
use crate::up::terminated;

pub(crate) async fn run(options: SimOptions) -> Result<ExitCode, Box<dyn Error>> {
    if options.perf.as_deref() == Some("list") {
        PerfRow::names().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    let base = config(&options)?;
    let stop = CancellationToken::new();
    let servers = TaskTracker::new();
    for number in 0..options.count {
        let port = match options.listen.port() {
            0 => 0,
            first => first
                .checked_add(number)
                .ok_or("the ports run past 65535; choose a lower --listen port")?,
        };
        let address = SocketAddr::new(options.listen.ip(), port);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            format!("cannot listen on {address}: {error}; choose another port with --listen")
        })?;
        let bound = listener.local_addr()?;
        let name = format!("sim-{number}");
        println!("{name} {} on http://{bound}", base.model);
        let server = SimConfig {
            name,
            seed: base.seed.wrapping_add(u64::from(number)),
            ..base.clone()
        };
        let stop = stop.clone();
        servers.spawn(async move {
            if let Err(error) = simulator::serve(listener, server, stop).await {
                tracing::error!(%error, "simulated server ended");
            }
        });
    }
    servers.close();
    tokio::select! {
        () = terminated() => {}
        () = servers.wait() => {}
    }
    stop.cancel();
    servers.wait().await;
    Ok(ExitCode::SUCCESS)
}

fn config(options: &SimOptions) -> Result<SimConfig, Box<dyn Error>> {
    let mut config = match &options.config {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None => SimConfig::default(),
    };
    if let Some(model) = &options.model {
        config.model.clone_from(model);
    }
    if !options.adapters.is_empty() {
        config.adapters.clone_from(&options.adapters);
    }
    if let Some(perf) = &options.perf {
        config.perf.clone_from(perf);
    }
    config.kv_blocks = options.kv_blocks.or(config.kv_blocks);
    config.max_num_seqs = options.max_num_seqs.unwrap_or(config.max_num_seqs);
    config.time_scale = options.time_scale;
    config.seed = options.seed;
    config.validate()?;
    Ok(config)
}
