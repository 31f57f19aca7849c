//! `plimsoll up`: the standalone gateway.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway::Bound;
use manifests::FileSource;
use resources::{Options, Snapshot};
use scheduling::BuildOptions;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::cli::{ProfileName, UpOptions};
use crate::house::{House, Plan};
use crate::picking::{PickerFile, Picking};

pub(crate) async fn run(options: UpOptions) -> Result<ExitCode, Box<dyn Error>> {
    if options.endpoints.is_empty() && options.files.is_empty() {
        return Err("nothing to serve: give model servers with --endpoint http://HOST:PORT, or manifests with -f PATH; `plimsoll demo` needs neither".into());
    }
    let build = Options {
        default_listen_port: options.listen.port(),
        endpoints: options.endpoints.clone(),
        ..Options::default()
    };
    let source = FileSource::open(&options.files, build).map_err(|error| format!("{error}"))?;
    let rejected = Arc::new(AtomicU64::new(0));
    let refused = {
        let (rejected, status) = (rejected.clone(), source.status());
        Arc::new(move || rejected.load(Ordering::Relaxed) + status.refused())
    };
    let build = BuildOptions {
        allow_experimental: options.allow_experimental_plugins,
        ..BuildOptions::default()
    };
    let picker = match &options.picker_config {
        Some(path) => Some(PickerFile::open(path, build)?),
        None => None,
    };
    let picking = match (&picker, options.profile) {
        (Some(file), _) => file.read()?,
        (None, ProfileName::Default) => Picking::Standard,
        (None, ProfileName::RoundRobin) => Picking::RoundRobin,
    };
    let mut settings = options.settings();
    settings.parsers = picking.parsers();
    let plan = Plan {
        settings,
        gateway: Some(options.gateway()),
        trust: options.trust(),
        scrape: options.scrape(),
        picking,
        seed: u64::from(std::process::id()),
        access_log: options.access_log,
        names: Vec::new(),
        refused,
    };
    let mut house = House::build(plan)?;
    let admin_port = TcpListener::bind(options.admin)
        .await
        .map_err(|error| format!("cannot listen on {} for the admin server: {error}; choose another address with --admin", options.admin))?;
    let mut snapshots = source.subscribe();
    let first = snapshots.borrow_and_update().clone();
    let bound = house.apply(first.clone()).await?;
    announce(&first, &bound, admin_port.local_addr()?);

    let stop = CancellationToken::new();
    let state = Arc::new(Admin {
        core: house.core.clone(),
        metrics: house.metrics.clone(),
        compat: Vec::new(),
        native: true,
    });
    let admin = tokio::spawn(admin::serve(admin_port, state, stop.clone()));
    tokio::select! {
        () = terminated() => {}
        () = follow(&mut house, snapshots, picker, &rejected) => {}
    }
    drain(&house, Duration::from_secs(options.drain_timeout)).await;
    stop.cancel();
    let _ = admin.await;
    Ok(ExitCode::SUCCESS)
}

/// Puts each new configuration in force; one that cannot be (a port that is taken, say) leaves the last good one.
pub(crate) async fn follow(
    house: &mut House,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut picker: Option<PickerFile>,
    rejected: &AtomicU64,
) {
    loop {
        tokio::select! {
            snapshot = next(&mut snapshots) => {
                let generation = snapshot.generation;
                match house.apply(snapshot).await {
                    Ok(_) => tracing::info!(generation, "configuration in force"),
                    Err(error) => {
                        rejected.fetch_add(1, Ordering::Relaxed);
                        tracing::error!(generation, %error, "configuration refused; the last good one stays");
                    }
                }
            }
            (number, picking) = changed(&mut picker) => match picking {
                Ok(picking) => {
                    house.pick(picking);
                    tracing::info!(number, "picker configuration in force");
                }
                Err(error) => {
                    rejected.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(number, "picker configuration refused; the last good one stays: {error}");
                }
            }
        }
    }
}

/// The next configuration. Without a source of changes the configuration simply stays.
async fn next(snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Arc<Snapshot> {
    if snapshots.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    snapshots.borrow_and_update().clone()
}

async fn changed(picker: &mut Option<PickerFile>) -> (u64, Result<Picking, String>) {
    match picker {
        Some(file) => file.changed().await,
        None => std::future::pending().await,
    }
}

fn announce(snapshot: &Snapshot, bound: &[Bound], admin: std::net::SocketAddr) {
    for port in bound {
        let scheme = if port.tls { "https" } else { "http" };
        println!("gateway  {scheme}://{}", port.address);
    }
    println!("admin    http://{admin}  (/metrics, /readyz, /debug/decisions, /debug/endpoints)");
    for (name, pool) in &snapshot.pools {
        println!(
            "pool     {name}: {} endpoints, {} not ready",
            pool.endpoints.len(),
            pool.not_ready
        );
    }
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut term) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Stops taking requests and lets streams finish, for a bounded time. A second signal ends the wait.
pub(crate) async fn drain(house: &House, patience: Duration) {
    let open = house.core.requests().used();
    tracing::info!(
        requests = open,
        seconds = patience.as_secs(),
        "draining; a second signal stops at once"
    );
    let Some(gateway) = &house.gateway else {
        return;
    };
    let left = tokio::select! {
        left = gateway.shutdown(patience) => left,
        () = terminated() => usize::MAX,
    };
    match left {
        0 => tracing::info!("all requests have ended"),
        _ => tracing::warn!(
            requests = house.core.requests().used(),
            "stopped with requests under way"
        ),
    }
}
