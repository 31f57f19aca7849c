//! `plimsoll epp`: the endpoint picker behind Envoy.

mod duration;
mod options;
mod quantity;
mod setup;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use extproc::{
    HealthPort, HealthService, Picker, ProcessorPort, ServeOptions, Serving, Unknown, Vitals,
};
use lifecycle::Core;
use manifests::FileSource;
use resources::Snapshot;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) use duration::GoDuration;
pub(crate) use options::{EppOptions, LoggingOptions};
pub(crate) use setup::{Tls, tls};

use crate::admin::{self, Admin};
use crate::house::{House, Plan};
use crate::up::{follow, terminated};
use crate::workers;

/// What is added to the body limit for what stands around a body in a message.
const MESSAGE_SLACK: u64 = 1 << 20;
/// While draining: time without a new request after which nothing more is expected.
const QUIET: Duration = Duration::from_secs(2);

pub(crate) async fn run(options: EppOptions) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(refusal) = options.refused() {
        return Err(refusal.into());
    }
    for line in options.deprecated() {
        tracing::warn!("{line}");
    }
    let source = FileSource::open(&options.files, setup::build_options(&options)?)
        .map_err(|error| format!("{error}"))?;
    let rejected = Arc::new(AtomicU64::new(0));
    let refused = {
        let (rejected, status) = (rejected.clone(), source.status());
        Arc::new(move || rejected.load(Ordering::Relaxed) + status.refused())
    };
    let (picking, picker) = setup::picking(&options)?;
    let mut settings = setup::settings(&options);
    if let Some(parsers) = picking.parsers() {
        settings.parsers = Some(parsers);
    }
    let mut house = House::build(Plan {
        settings,
        gateway: None,
        trust: setup::trust(&options),
        scrape: setup::scrape(&options),
        picking,
        seed: u64::from(std::process::id()),
        access_log: options.logging.access_log,
        names: setup::names(&options),
        refused,
    })?;
    let mut snapshots = source.subscribe();
    let first = snapshots.borrow_and_update().clone();
    house.apply(first.clone()).await?;

    let stop = CancellationToken::new();
    let state = Arc::new(State {
        core: house.core.clone(),
        draining: AtomicBool::new(false),
    });
    let ports = open(&options, &state, &house, &stop).await?;
    announce(&first, &ports);
    let rejected = rejected.clone();
    tokio::select! {
        () = terminated() => {}
        () = follow(&mut house, snapshots, picker, &rejected) => {}
    }
    drain(&state, options.ports.drain_timeout.0).await;
    let left = ports.processor.shutdown(Duration::from_secs(1)).await;
    if left > 0 {
        tracing::info!(connections = left, "stopped with connections open");
    }
    stop.cancel();
    Ok(ExitCode::SUCCESS)
}

/// The ports of a running picker or router.
pub(crate) struct Ports {
    pub(crate) processor: Serving,
    pub(crate) tls: bool,
    pub(crate) health: Serving,
    pub(crate) metrics: SocketAddr,
}

async fn open(
    options: &EppOptions,
    state: &Arc<State>,
    house: &House,
    stop: &CancellationToken,
) -> Result<Ports, Box<dyn Error>> {
    let ports = &options.ports;
    let at = |port: u16| SocketAddr::new(ports.listen_address, port);
    let limit = usize::try_from(options.picking.body_limit + MESSAGE_SLACK)?;
    let receive = match ports.grpc_max_recv_msg_size.0 {
        0 => limit,
        size => size,
    };
    let send = match ports.grpc_max_send_msg_size.0 {
        0 => usize::MAX,
        size => size,
    };
    let picker = Picker::new(house.core.clone(), setup::picker(options));
    let mut service = ProcessorPort::new(picker, receive, send);
    if ports.health_checking {
        let health = HealthService::new(state.clone(), Unknown::NotFound);
        service = service.with_health(health);
    }
    let certificate = tls(
        Tls {
            secure: ports.secure_serving,
            directory: &ports.cert_path,
            reload: ports.enable_cert_reload,
            version_min: &ports.tls_min_version,
            suites: &ports.tls_cipher_suites,
        },
        stop,
    )?;
    let serve = ServeOptions {
        certificate,
        streams_max: ports.max_streams,
        workers: workers::start(workers::count(ports.workers), stop)?,
    };
    let secure = serve.certificate.is_some();
    let busy = |flag: &str, port: u16, error: std::io::Error| {
        format!(
            "cannot listen on {}: {error}; choose another port with --{flag}",
            at(port)
        )
    };
    let processor = extproc::serve(at(ports.grpc_port), service, serve)
        .map_err(|error| busy("grpc-port", ports.grpc_port, error))?;
    let health = HealthPort::new(HealthService::new(state.clone(), Unknown::AsPicker));
    let health = extproc::serve(at(ports.grpc_health_port), health, ServeOptions::default())
        .map_err(|error| busy("grpc-health-port", ports.grpc_health_port, error))?;
    let listener = TcpListener::bind(at(ports.metrics_port))
        .await
        .map_err(|error| busy("metrics-port", ports.metrics_port, error))?;
    let metrics = listener.local_addr()?;
    let admin = Arc::new(Admin {
        core: house.core.clone(),
        metrics: house.metrics.clone(),
        compat: house.compat.clone(),
        native: setup::native_names(options),
    });
    tokio::spawn(admin::serve(listener, admin, stop.clone()));
    Ok(Ports {
        processor,
        tls: secure,
        health,
        metrics,
    })
}

/// What health is told from.
pub(crate) struct State {
    pub(crate) core: Arc<Core>,
    pub(crate) draining: AtomicBool,
}

impl Vitals for State {
    fn ready(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && self.core.view().snapshot.generation > 0
    }

    fn alive(&self) -> bool {
        true
    }
}

fn announce(snapshot: &Snapshot, ports: &Ports) {
    let how = if ports.tls { "TLS" } else { "clear text" };
    println!("ext_proc {} ({how})", ports.processor.address);
    println!("health   {} (gRPC)", ports.health.address);
    println!(
        "metrics  http://{}/metrics  (and /readyz, /debug/decisions, /debug/endpoints)",
        ports.metrics
    );
    for listener in &snapshot.listeners {
        let rules = listener
            .routes
            .iter()
            .flat_map(|attached| &attached.route.rules);
        for backend in rules.flat_map(|rule| &rule.backends) {
            if let resources::BackendTarget::Pool(pool) = &backend.target {
                println!(
                    "pool     {}: {} endpoints, {} not ready",
                    pool.name,
                    pool.endpoints.len(),
                    pool.not_ready
                );
            }
        }
    }
}

/// Says at once that no more traffic should come, and serves what still does: proxies hear of it with a delay.
pub(crate) async fn drain(state: &State, patience: Duration) {
    state.draining.store(true, Ordering::Relaxed);
    tracing::info!(
        requests = state.core.requests().used(),
        seconds = patience.as_secs(),
        "draining: health says not serving, requests are still answered; a second signal stops at once"
    );
    let quiet = async {
        let mut still = Duration::ZERO;
        let mut last = state.core.decisions().made();
        while still < QUIET {
            let step = Duration::from_millis(100);
            tokio::time::sleep(step).await;
            let now = state.core.decisions().made();
            let calm = now == last && state.core.requests().used() == 0;
            still = if calm { still + step } else { Duration::ZERO };
            last = now;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(patience, quiet) => {}
        () = terminated() => {}
    }
}
