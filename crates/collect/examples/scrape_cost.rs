//! What scraping costs: CPU time of one scraper over many endpoints.
//!
//! ```text
//! cargo run --release -p collect --example scrape_cost -- [ENDPOINTS] [PERIOD_MS] [SECONDS]
//! ```
//!
//! The servers run in a process of their own, so that the figure is the scraper's alone. Each
//! serves a page of the size and shape of vLLM's. Reads CPU time from `/proc`, so Linux only.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use collect::{
    Membership, MembershipOptions, ScrapeFailure, ScrapeOptions, Scraper, SystemResolver, Target,
};
use signals::Time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if arguments.first().is_some_and(|first| first == "serve") {
        return runtime.block_on(serve(number(&arguments, 1, 100)?));
    }
    let (count, period, seconds) = (
        number(&arguments, 0, 100)?,
        number(&arguments, 1, 50)?,
        number(&arguments, 2, 10)?,
    );
    let (mut servers, ports) = start_servers(count)?;
    let result = runtime.block_on(measure(&ports, period, seconds));
    servers.kill()?;
    servers.wait()?;
    result
}

fn number(arguments: &[String], index: usize, default: u64) -> Result<u64> {
    Ok(arguments
        .get(index)
        .map(|text| text.parse())
        .transpose()?
        .unwrap_or(default))
}

async fn measure(ports: &[u16], period: u64, seconds: u64) -> Result<()> {
    let options = ScrapeOptions {
        period: Duration::from_millis(period),
        ..ScrapeOptions::default()
    };
    let start = Instant::now();
    let clock = move || Time::from_secs_f64(1.0 + start.elapsed().as_secs_f64());
    let runtime = tokio::runtime::Handle::current();
    let scraper = Arc::new(Scraper::new(options, Arc::new(clock), runtime));
    let membership = Membership::new(
        MembershipOptions::default(),
        Arc::new(SystemResolver),
        vec![scraper.clone()],
    );
    membership.update(
        ports
            .iter()
            .map(|&port| Target::new("127.0.0.1", port))
            .collect(),
    );

    tokio::time::sleep(Duration::from_secs(1)).await;
    let (pages, bytes, cpu) = (
        scraper.stats().ok(),
        scraper.stats().bytes(),
        cpu_seconds()?,
    );
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (wall, cpu) = (from.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let pages = scraper.stats().ok() - pages;
    let bytes = scraper.stats().bytes() - bytes;
    let failed: u64 = ScrapeFailure::ALL
        .iter()
        .map(|&cause| scraper.stats().failed(cause))
        .sum();
    println!(
        "{} endpoints, period {period} ms: {:.0} pages/s of {:.1} KB, {failed} failed\n\
         {:.3} cores, {:.1} µs of CPU per page",
        ports.len(),
        pages as f64 / wall,
        bytes as f64 / pages.max(1) as f64 / 1e3,
        cpu / wall,
        cpu * 1e6 / pages.max(1) as f64,
    );
    Ok(())
}

/// User and system time of this process. The kernel counts in hundredths of a second.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let user = ticks.next().ok_or("no user time")??;
    let system = ticks.next().ok_or("no system time")??;
    Ok((user + system) / 100.0)
}

fn start_servers(count: u64) -> Result<(Child, Vec<u16>)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", &count.to_string()])
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let ports = line
        .split_whitespace()
        .map(str::parse)
        .collect::<std::result::Result<_, _>>()?;
    Ok((child, ports))
}

async fn serve(count: u64) -> Result<()> {
    let body = page();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let answer: Arc<[u8]> = [head.as_bytes(), body.as_bytes()].concat().into();
    let mut ports = String::new();
    for _ in 0..count {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        ports.push_str(&format!("{} ", listener.local_addr()?.port()));
        let answer = answer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_all(stream, answer.clone()));
            }
        });
    }
    let mut out = std::io::stdout();
    writeln!(out, "{ports}")?;
    out.flush()?;
    std::future::pending().await
}

/// Takes every read for one request, which holds for requests this small.
async fn answer_all(mut stream: TcpStream, answer: Arc<[u8]>) {
    let mut request = [0; 4_096];
    while stream
        .read(&mut request)
        .await
        .is_ok_and(|length| length > 0)
    {
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// A page like vLLM's: the wanted gauges among some four hundred histogram lines.
fn page() -> String {
    let labels = "engine=\"0\",model_name=\"meta-llama/Llama-3.1-70B-Instruct\"";
    let mut page = String::new();
    for histogram in 0..12 {
        let name = format!("vllm:request_histogram_{histogram}_seconds");
        page.push_str(&format!(
            "# HELP {name} Histogram of something in seconds.\n# TYPE {name} histogram\n"
        ));
        for bucket in 0..30 {
            page.push_str(&format!(
                "{name}_bucket{{{labels},le=\"{bucket}.0\"}} {}.0\n",
                bucket * 1_234
            ));
        }
        page.push_str(&format!(
            "{name}_sum{{{labels}}} 8123.25\n{name}_count{{{labels}}} 90123.0\n"
        ));
    }
    for (name, value) in [
        ("num_requests_running", "17.0"),
        ("num_requests_waiting", "3.0"),
        ("kv_cache_usage_perc", "0.4321"),
    ] {
        page.push_str(&format!(
            "# TYPE vllm:{name} gauge\nvllm:{name}{{{labels}}} {value}\n"
        ));
    }
    page.push_str(
        "vllm:cache_config_info{block_size=\"16\",num_gpu_blocks=\"20000\",engine=\"0\"} 1.0\n",
    );
    page
}
