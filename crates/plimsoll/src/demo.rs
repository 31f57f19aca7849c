//! `plimsoll demo`: a fleet of simulated model servers, the gateway in front, and what routing by serving state gains.
//!
//! The same seeded traffic is sent twice, each time to a fresh fleet with cold caches: once through the default
//! profile, once through round robin.

mod fleet;
mod table;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use lab::Target;
use lab::load::{Pace, Plan as LoadPlan};
use lab::mix::{Class, Mix};
use lab::report::Report;
use resources::Options;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::cli::DemoOptions;
use crate::house::{House, Plan};
use crate::picking::Picking;
use crate::up::{drain, terminated};
use fleet::Fleet;

/// Requests per second: about 60 % of what the fleet can do when most prefixes are cached.
const RATE: f64 = 36.0;
const SEED: u64 = 2026;
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: DemoOptions) -> Result<ExitCode, Box<dyn Error>> {
    let stop = CancellationToken::new();
    let fleet = Fleet::start(&stop).await?;
    let port = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), options.port);
    let admin_port = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), options.admin_port);
    let admin_listener = TcpListener::bind(admin_port)
        .await
        .map_err(|error| format!("cannot listen on {admin_port}: {error}; choose another port with --admin-port, or 0 for a free one"))?;
    let admin_address = admin_listener.local_addr()?;
    let (house, gateway) = open(&fleet, port, Picking::Standard).await?;
    let state = Arc::new(Admin {
        core: house.core.clone(),
        metrics: house.metrics.clone(),
        compat: Vec::new(),
        native: true,
    });
    tokio::spawn(admin::serve(admin_listener, state, stop.clone()));
    println!("{}", table::greeting(&fleet, gateway, admin_address));

    if options.serve {
        println!("serving until Ctrl-C\n");
        terminated().await;
        drain(&house, DRAIN).await;
    } else {
        tokio::select! {
            result = compare(&options, &fleet, &house, gateway, &stop) => result?,
            () = terminated() => eprintln!("interrupted"),
        }
    }
    stop.cancel();
    Ok(ExitCode::SUCCESS)
}

/// A gateway over the fleet. `listen` may have port 0.
async fn open(
    fleet: &Fleet,
    listen: SocketAddr,
    picking: Picking,
) -> Result<(House, SocketAddr), Box<dyn Error>> {
    let options = Options {
        default_listen_port: listen.port(),
        endpoints: fleet.endpoints.clone(),
        ..Options::default()
    };
    let (snapshot, problems) = resources::build(&[], &options);
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem.to_string().into());
    }
    let plan = Plan {
        settings: lifecycle::Settings {
            expose_endpoint: true,
            ..lifecycle::Settings::default()
        },
        gateway: Some(gateway::Options {
            address: listen.ip(),
            ..gateway::Options::default()
        }),
        trust: gateway::UpstreamTrust::System,
        scrape: collect::ScrapeOptions {
            models_period: Some(Duration::from_secs(1)),
            ..collect::ScrapeOptions::default()
        },
        picking,
        seed: SEED,
        access_log: false,
        names: Vec::new(),
        refused: Arc::new(|| 0),
    };
    let mut house = House::build(plan)?;
    let bound = house
        .apply(Arc::new(snapshot))
        .await
        .map_err(|error| format!("{error} (--port; 0 takes a free one)"))?;
    let address = bound
        .first()
        .map(|bound| bound.address)
        .ok_or("the gateway opened no port")?;
    fleet.until_scraped(&house).await;
    Ok((house, address))
}

async fn compare(
    options: &DemoOptions,
    fleet: &Fleet,
    house: &House,
    gateway: SocketAddr,
    stop: &CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let seconds = (options.requests as f64 / RATE).ceil();
    println!(
        "sending {} requests through the default profile (about {seconds:.0} s) ...",
        options.requests
    );
    let ours = drive(gateway, options.requests).await?;
    let reasons = table::reasons(&house.core);

    println!("sending the same requests through round robin, to a fresh fleet ...\n");
    let other_fleet = Fleet::start(stop).await?;
    let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let (_baseline, baseline_gateway) = open(&other_fleet, free, Picking::RoundRobin).await?;
    let theirs = drive(baseline_gateway, options.requests).await?;

    println!("{}", table::placement(fleet, &ours, &reasons));
    println!("{}", table::comparison(&ours, &theirs));
    println!(
        "Why each decision was made:  curl -s http://127.0.0.1:{}/debug/decisions  (while `plimsoll demo --serve` runs)",
        options.admin_port
    );
    println!("Next: plimsoll up --endpoint http://HOST:PORT --endpoint http://HOST:PORT");
    Ok(())
}

async fn drive(gateway: SocketAddr, requests: u64) -> Result<Report, Box<dyn Error>> {
    let target = Target::parse(&format!("http://{gateway}"))?;
    let mix = traffic();
    let mut plan = LoadPlan::new(
        vec![target],
        Pace::Poisson {
            per_second: RATE,
            seed: SEED,
        },
        requests,
        mix.shots()?,
    );
    plan.wire.ignore_eos = true;
    let mut progress = lab::Progress::new(false);
    let report = lab::load::run(plan, |live| progress.show(live)).await;
    progress.end();
    Ok(report?)
}

/// Agents with long tool prompts, chats with a shared system prompt on LoRA adapters, and one-off questions.
fn traffic() -> Mix {
    let class = |name: &str,
                 weight,
                 models: &[&str],
                 groups,
                 prefix_tokens,
                 question_tokens,
                 output_tokens| Class {
        name: name.into(),
        weight,
        models: models.iter().map(|model| Arc::from(*model)).collect(),
        groups,
        prefix_tokens,
        question_tokens,
        output_tokens,
        skew: 0.6,
    };
    Mix {
        classes: vec![
            class("agents", 5.0, &[fleet::BASE_MODEL], 24, 6_000, 250, 60),
            class("adapter chats", 3.0, &fleet::ADAPTERS, 12, 1_500, 200, 80),
            class(
                "one-off questions",
                2.0,
                &[fleet::BASE_MODEL],
                1,
                0,
                500,
                80,
            ),
        ],
        seed: SEED,
    }
}
