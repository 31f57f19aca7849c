//! `plimsoll bbr`: the body-based router behind Envoy.

use std::collections::HashMap;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use extproc::{
    HealthPort, HealthService, PluginSpec, ProcessorPort, Router, RouterOptions, RouterPlugins,
    ServeOptions, SilentRouter, Unknown,
};
use lifecycle::{Core, ErrorStyle, ReferenceDialect, Settings, View};
use manifests::FileSource;
use observe::Metrics;
use payload::Parsers;
use resources::{Serves, Snapshot};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::clock::MonotonicClock;
use crate::epp::{GoDuration, LoggingOptions, Ports, State, Tls, drain, tls};
use crate::up::terminated;
use crate::workers;

const MESSAGE_SLACK: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(crate) struct BbrOptions {
    /// ConfigMaps that say which adapters belong to which base model: files or directories, watched for changes. Repeatable.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// A plugin, `TYPE:NAME` or `TYPE:NAME:JSON`. Repeatable; without any, the model and its base model become headers.
    #[arg(long = "plugin", value_name = "PLUGIN")]
    pub(crate) plugins: Vec<PluginSpec>,

    /// Exchange bodies in full-duplex pieces. A proxy that announces its body mode is answered in that mode anyway.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = false, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) streaming: bool,

    /// Address all ports are bound on.
    #[arg(long, default_value = "0.0.0.0", value_name = "ADDR")]
    pub(crate) listen_address: IpAddr,

    /// Port of external processing. Port 0 takes a free one.
    #[arg(long, default_value_t = 9004, value_name = "PORT")]
    pub(crate) grpc_port: u16,

    /// Port of gRPC health, always in clear text.
    #[arg(long, default_value_t = 9005, value_name = "PORT")]
    pub(crate) grpc_health_port: u16,

    /// Port of /metrics and health over HTTP.
    #[arg(long, default_value_t = 9090, value_name = "PORT")]
    pub(crate) metrics_port: u16,

    /// Serve TLS; with a certificate made on the spot unless --cert-path names one.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", default_value_t = true, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) secure_serving: bool,

    /// Directory with tls.crt and tls.key, read again when they change.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "DIR"
    )]
    pub(crate) cert_path: String,

    /// Largest request body, in bytes.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    pub(crate) body_limit: u64,

    /// Request bodies held in memory at once, in bytes.
    #[arg(long, default_value_t = 1 << 30, value_name = "BYTES")]
    pub(crate) body_budget: u64,

    /// Seconds a request body may pause.
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) body_timeout: u64,

    /// Threads that serve connections; one per core if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// How long open streams may take to finish after SIGTERM, such as 30s.
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub(crate) drain_timeout: GoDuration,

    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, hide = true)]
    pub(crate) tracing: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, hide = true)]
    pub(crate) enable_pprof: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, hide = true)]
    pub(crate) metrics_endpoint_auth: Option<bool>,

    #[command(flatten)]
    pub(crate) logging: LoggingOptions,
}

pub(crate) async fn run(options: BbrOptions) -> Result<ExitCode, Box<dyn Error>> {
    let chosen = [
        options.grpc_port,
        options.grpc_health_port,
        options.metrics_port,
    ];
    let same = |a: usize, b: usize| chosen[a] == chosen[b] && chosen[a] != 0;
    if same(0, 1) || same(0, 2) || same(1, 2) {
        return Err("--grpc-port, --grpc-health-port and --metrics-port must differ".into());
    }
    let build = resources::Options {
        serves: Serves::Models,
        ..resources::Options::default()
    };
    let source = FileSource::open(&options.files, build).map_err(|error| format!("{error}"))?;
    let plugins = RouterPlugins::from_specs(&options.plugins)
        .map_err(|error| format!("--plugin: {error}"))?;
    let mut snapshots = source.subscribe();
    let first = snapshots.borrow_and_update().clone();
    let metrics = Arc::new(Metrics::new());
    let settings = Settings {
        body_bytes_max: options.body_limit,
        body_budget_bytes: options.body_budget,
        parsers: Some(Parsers::routing()),
        errors: ErrorStyle::Reference(ReferenceDialect::LlmD),
        ..Settings::default()
    };
    let core = Arc::new(Core::new(
        view(&first),
        settings,
        Arc::new(MonotonicClock::start()),
        metrics.clone(),
        u64::from(std::process::id()),
    ));
    let stop = CancellationToken::new();
    let state = Arc::new(State {
        core: core.clone(),
        draining: AtomicBool::new(false),
    });
    let ports = open(&options, &state, plugins, metrics, &stop).await?;
    println!(
        "ext_proc {} ({})",
        ports.processor.address,
        if ports.tls { "TLS" } else { "clear text" }
    );
    println!("health   {} (gRPC)", ports.health.address);
    println!("metrics  http://{}/metrics", ports.metrics);
    println!("models   {} known by ConfigMaps", first.base_models.len());
    loop {
        tokio::select! {
            () = terminated() => break,
            changed = snapshots.changed() => {
                if changed.is_err() {
                    // Without a source of changes the mapping simply stays.
                    terminated().await;
                    break;
                }
                let snapshot = snapshots.borrow_and_update().clone();
                tracing::info!(generation = snapshot.generation, models = snapshot.base_models.len(), "mapping in force");
                core.configure(view(&snapshot));
            }
        }
    }
    drain(&state, options.drain_timeout.0).await;
    ports.processor.shutdown(Duration::from_secs(1)).await;
    stop.cancel();
    Ok(ExitCode::SUCCESS)
}

fn view(snapshot: &Arc<Snapshot>) -> View {
    View::new(snapshot.clone(), &HashMap::new(), HashMap::new())
}

async fn open(
    options: &BbrOptions,
    state: &Arc<State>,
    plugins: RouterPlugins,
    metrics: Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<Ports, Box<dyn Error>> {
    let at = |port: u16| SocketAddr::new(options.listen_address, port);
    let router = Router::new(
        state.core.clone(),
        RouterOptions {
            streaming: options.streaming,
            body_timeout: Duration::from_secs(options.body_timeout),
            ..RouterOptions::default()
        },
        plugins,
        Arc::new(SilentRouter),
    );
    let receive = usize::try_from(options.body_limit + MESSAGE_SLACK)?;
    let certificate = tls(
        Tls {
            secure: options.secure_serving,
            directory: &options.cert_path,
            reload: true,
            version_min: "",
            suites: &[],
        },
        stop,
    )?;
    let serve = ServeOptions {
        certificate,
        workers: workers::start(workers::count(options.workers), stop)?,
        ..ServeOptions::default()
    };
    let secure = serve.certificate.is_some();
    let busy = |flag: &str, port: u16, error: std::io::Error| {
        format!(
            "cannot listen on {}: {error}; choose another port with --{flag}",
            at(port)
        )
    };
    let service = ProcessorPort::new(router, receive, usize::MAX);
    let processor = extproc::serve(at(options.grpc_port), service, serve)
        .map_err(|error| busy("grpc-port", options.grpc_port, error))?;
    let health = HealthPort::new(HealthService::new(state.clone(), Unknown::AsPicker));
    let health = extproc::serve(
        at(options.grpc_health_port),
        health,
        ServeOptions::default(),
    )
    .map_err(|error| busy("grpc-health-port", options.grpc_health_port, error))?;
    let listener = TcpListener::bind(at(options.metrics_port))
        .await
        .map_err(|error| busy("metrics-port", options.metrics_port, error))?;
    let address = listener.local_addr()?;
    let admin = Arc::new(Admin {
        core: state.core.clone(),
        metrics,
    });
    tokio::spawn(admin::serve(listener, admin, stop.clone()));
    Ok(Ports {
        processor,
        tls: secure,
        health,
        metrics: address,
    })
}
