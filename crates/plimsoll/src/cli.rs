//! The command line.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use resources::EndpointSpec;

use crate::bbr::BbrOptions;
use crate::epp::EppOptions;

/// An inference gateway that routes each LLM request to the model server best placed to serve it now.
///
/// Start with `plimsoll demo`, which needs nothing. Then `plimsoll up --endpoint http://HOST:PORT` in front of
/// your own vLLM, SGLang, TensorRT-LLM, Triton or llama.cpp servers.
#[derive(Debug, Parser)]
#[command(
    name = "plimsoll",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to log: error, warn, info, debug, trace, or per module, e.g. `info,gateway=debug`.
    /// Default: info; warn in `demo`.
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log: Option<String>,

    /// How to log, on standard error.
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Four simulated model servers, the gateway in front, and a table of what routing by serving state gains.
    Demo(DemoOptions),
    /// Run the gateway in front of model servers, from --endpoint flags or Kubernetes manifests on disk.
    Up(Box<UpOptions>),
    /// Run the endpoint picker behind Envoy or a gateway built on it (ext_proc): the flags and files of the reference pickers.
    Epp(Box<EppOptions>),
    /// Run the body-based router behind Envoy: puts the model of each request into headers that routes can match.
    Bbr(Box<BbrOptions>),
    /// Validate manifests offline, or tell which route, pool and model a request would meet.
    Check(CheckOptions),
    /// Run simulated model servers that behave like vLLM, without a GPU.
    Sim(SimOptions),
    /// Measure an endpoint: replay a trace or generate load.
    #[command(subcommand)]
    Bench(Bench),
    /// Try out routing on a simulated fleet, on a virtual clock.
    #[command(subcommand)]
    Lab(Lab),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Lab {
    /// Compare routing policies on a trace or a made-up workload.
    Routing(Box<lab::routing::RoutingOptions>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Replay a request trace against an endpoint and measure every request.
    Replay(lab::bench::ReplayOptions),
    /// Generate load against an endpoint, or against two in pairs, and measure every request.
    Load(lab::bench::LoadOptions),
    /// Play Envoy's side of external processing against an endpoint picker, ours or another, and measure what it costs.
    Epp(lab::ext_proc::EppOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Port of the gateway on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,

    /// Port of the admin server on 127.0.0.1: metrics, health, decisions.
    #[arg(long, default_value_t = 9090)]
    pub(crate) admin_port: u16,

    /// Send no traffic; keep everything running until Ctrl-C.
    #[arg(long)]
    pub(crate) serve: bool,

    /// Requests of the traffic mix, sent once through each routing policy.
    #[arg(long, default_value_t = 400, value_name = "N")]
    pub(crate) requests: u64,
}

#[derive(Debug, Args)]
pub(crate) struct UpOptions {
    /// A model server: `http://HOST:PORT`, optionally `,name=NAME` and `,labels=KEY=VALUE;KEY=VALUE`. Repeatable. DNS names are re-resolved.
    #[arg(long = "endpoint", value_name = "URL", value_parser = parse_endpoint)]
    pub(crate) endpoints: Vec<EndpointSpec>,

    /// Kubernetes manifests or an llm-d endpoint file: files or directories, watched for changes. Repeatable.
    #[arg(short = 'f', long = "file", value_name = "PATH")]
    pub(crate) files: Vec<PathBuf>,

    /// Address, and the port used when no Gateway manifest declares listeners. Port 0 takes a free one.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,

    /// Bind another port than a listener declares, e.g. `80=8080` to run without privileges. Repeatable.
    #[arg(long, value_name = "LISTENER=PORT", value_parser = parse_port_map)]
    pub(crate) port_map: Vec<(u16, u16)>,

    /// Address of the admin server: metrics, health, decisions. Keep it away from clients.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDR")]
    pub(crate) admin: SocketAddr,

    /// How endpoints are picked. `round-robin` is the baseline to compare with.
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) profile: ProfileName,

    /// An EndpointPickerConfig in the format of llm-d or the Inference Extension, watched for changes. Given one, it
    /// rules; --profile does not count.
    #[arg(long, value_name = "FILE")]
    pub(crate) picker_config: Option<PathBuf>,

    /// Load plugins whose stability is alpha.
    #[arg(long, requires = "picker_config")]
    pub(crate) allow_experimental_plugins: bool,

    /// Pause between two readings of a model server's metrics, in milliseconds.
    #[arg(long, default_value_t = 200, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) metrics_interval: u64,

    /// Path of the model servers' metrics.
    #[arg(long, default_value = "/metrics", value_name = "PATH")]
    pub(crate) metrics_path: http::Uri,

    /// Port of the model servers' metrics, if it is not the one they serve on (Triton: 8002).
    #[arg(long, value_name = "PORT")]
    pub(crate) metrics_port: Option<u16>,

    /// Largest request body, in bytes.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    pub(crate) body_limit: u64,

    /// Request bodies held in memory at once, in bytes.
    #[arg(long, default_value_t = 1 << 30, value_name = "BYTES")]
    pub(crate) body_budget: u64,

    /// Seconds a client may pause within a request body.
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) body_timeout: u64,

    /// Concurrent requests; one more is answered 429.
    #[arg(long, default_value_t = 65_536, value_name = "N")]
    pub(crate) max_requests: u64,

    /// Endpoints tried for one request before its first byte.
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) attempts: u8,

    /// Milliseconds to connect to a model server.
    #[arg(long, default_value_t = 3_000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) connect_timeout: u64,

    /// Threads that serve connections; one per core if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,

    /// Decisions kept for /debug/decisions.
    #[arg(long, default_value_t = 1_024, value_name = "N")]
    pub(crate) decisions: usize,

    /// Take the model from this request header when path and body name none.
    #[arg(long, value_name = "NAME")]
    pub(crate) model_header: Option<http::HeaderName>,

    /// Name the serving endpoint to clients, in the response header x-plimsoll-endpoint.
    #[arg(long)]
    pub(crate) expose_endpoint: bool,

    /// Trust only the certificates in this PEM file behind https endpoints.
    #[arg(long, value_name = "FILE", conflicts_with = "upstream_insecure")]
    pub(crate) upstream_ca: Option<PathBuf>,

    /// Trust any certificate behind https endpoints.
    #[arg(long)]
    pub(crate) upstream_insecure: bool,

    /// Log one line per request, with route, endpoint, timings and token counts; JSON with --log-format json.
    #[arg(long)]
    pub(crate) access_log: bool,

    /// Seconds that streams may take to finish after SIGTERM.
    #[arg(long, default_value_t = 30, value_name = "S")]
    pub(crate) drain_timeout: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// In-flight load, queue, KV use, prefix cache and LoRA affinity.
    Default,
    /// One endpoint after the other.
    RoundRobin,
}

#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// Manifests or endpoint files: files or directories. Repeatable.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "PATH",
        required_unless_present_any = ["endpoints", "picker_config", "print_schema"]
    )]
    pub(crate) files: Vec<PathBuf>,

    /// A model server, as for `plimsoll up`. Repeatable.
    #[arg(long = "endpoint", value_name = "URL", value_parser = parse_endpoint)]
    pub(crate) endpoints: Vec<EndpointSpec>,

    /// An EndpointPickerConfig: prints what it comes to with all defaults filled in.
    #[arg(long, value_name = "FILE")]
    pub(crate) picker_config: Option<PathBuf>,

    /// Allow plugins whose stability is alpha.
    #[arg(long, requires = "picker_config")]
    pub(crate) allow_experimental_plugins: bool,

    /// Print the JSON schema of EndpointPickerConfig, with the parameters of every plugin type.
    #[arg(long, exclusive = true)]
    pub(crate) print_schema: bool,

    /// A request to follow through the routes, e.g. 'POST /v1/chat/completions'.
    #[arg(long, value_name = "METHOD PATH")]
    pub(crate) request: Option<String>,

    /// Host of that request.
    #[arg(long, requires = "request", default_value = "localhost")]
    pub(crate) host: String,

    /// Listener port of that request; the first one if not given.
    #[arg(long, requires = "request")]
    pub(crate) port: Option<u16>,

    /// A header of that request, 'Name: value'. Repeatable.
    #[arg(
        short = 'H',
        long = "header",
        requires = "request",
        value_name = "HEADER"
    )]
    pub(crate) headers: Vec<String>,

    /// Body of that request: text, or @FILE.
    #[arg(long, requires = "request", value_name = "TEXT|@FILE")]
    pub(crate) body: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimOptions {
    /// Address of the first server; further ones take the ports after it. Port 0 takes free ones.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDR")]
    pub(crate) listen: SocketAddr,

    /// How many servers to run in this process.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) count: u16,

    /// The base model's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// A LoRA adapter that is registered at the start. Repeatable.
    #[arg(long = "adapter", value_name = "NAME")]
    pub(crate) adapters: Vec<String>,

    /// GPU and model whose measured step times are used; `--perf list` names them all.
    #[arg(long, value_name = "ROW")]
    pub(crate) perf: Option<String>,

    /// KV blocks of 16 tokens; what the GPU's memory holds if not given.
    #[arg(long, value_name = "N")]
    pub(crate) kv_blocks: Option<u32>,

    /// Most requests in one batch.
    #[arg(long, value_name = "N")]
    pub(crate) max_num_seqs: Option<u32>,

    /// How many times faster than real time the simulated clock runs.
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) time_scale: f64,

    /// Seed of all random draws.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,

    /// A JSON file with all settings; flags go before it.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

pub(crate) fn parse_endpoint(text: &str) -> Result<EndpointSpec, String> {
    EndpointSpec::parse_flag(text).map_err(|error| error.to_string())
}

fn parse_port_map(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("\"{text}\" is not LISTENER=PORT, e.g. 80=8080");
    let (declared, bound) = text.split_once('=').ok_or_else(wrong)?;
    Ok((
        declared.parse().map_err(|_| wrong())?,
        bound.parse().map_err(|_| wrong())?,
    ))
}

impl UpOptions {
    pub(crate) fn settings(&self) -> lifecycle::Settings {
        lifecycle::Settings {
            body_bytes_max: self.body_limit,
            body_budget_bytes: self.body_budget,
            requests_max: self.max_requests,
            decisions_max: self.decisions,
            attempts_max: usize::from(self.attempts),
            model_header: self.model_header.clone(),
            expose_endpoint: self.expose_endpoint,
            ..lifecycle::Settings::default()
        }
    }

    /// Whom to trust behind `https` endpoints.
    pub(crate) fn trust(&self) -> gateway::UpstreamTrust {
        match (&self.upstream_ca, self.upstream_insecure) {
            (Some(path), _) => gateway::UpstreamTrust::File(path.clone()),
            (None, true) => gateway::UpstreamTrust::Anyone,
            (None, false) => gateway::UpstreamTrust::System,
        }
    }

    pub(crate) fn gateway(&self) -> gateway::Options {
        let address: IpAddr = self.listen.ip();
        let usual = gateway::Options::default();
        gateway::Options {
            address,
            port_map: self.port_map.iter().copied().collect(),
            body_timeout: Duration::from_secs(self.body_timeout),
            connect_timeout: Duration::from_millis(self.connect_timeout),
            trust: self.trust(),
            workers: self.workers.map_or(usual.workers, usize::from),
            ..usual
        }
    }

    pub(crate) fn scrape(&self) -> collect::ScrapeOptions {
        collect::ScrapeOptions {
            period: Duration::from_millis(self.metrics_interval),
            path: self.metrics_path.clone(),
            port: self.metrics_port,
            ..collect::ScrapeOptions::default()
        }
    }
}

/// Logs go to standard error, so that standard output stays for results.
pub(crate) fn start_logging(cli: &Cli) {
    use tracing_subscriber::EnvFilter;
    let usual = match &cli.command {
        Command::Demo(_) => "warn",
        Command::Epp(options) => options.logging.level(),
        Command::Bbr(options) => options.logging.level(),
        _ => "info",
    };
    let (filter, wrong) = match EnvFilter::try_new(cli.log.as_deref().unwrap_or(usual)) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new(usual), Some(error)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match cli.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "the log filter cannot be used; logging at info. Try: info, or info,gateway=debug");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn port_maps_are_read_or_explained() {
        assert_eq!(parse_port_map("80=8080"), Ok((80, 8080)));
        assert!(parse_port_map("80:8080").unwrap_err().contains("80=8080"));
        assert!(parse_port_map("80=99999").is_err());
    }
}
