//! How many streams do simulated servers hold on one core?
//!
//! `hold serve SERVERS [PERF_ROW]` serves on ports 18100 and following from one thread and prints
//! its lag every second; `hold load SERVERS STREAMS SECONDS` opens that many streams in all and
//! counts what arrives. Run them on different cores.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use simulator::{SimConfig, Simulator};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

const FIRST_PORT: u16 = 18_100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u16>().ok());
    match (
        arguments.first().map(String::as_str),
        number(1),
        number(2),
        number(3),
    ) {
        (Some("serve"), Some(servers), ..) => serve(servers, arguments.get(2)).await,
        (Some("load"), Some(servers), Some(streams), Some(seconds)) => {
            load(servers, streams, seconds).await
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "usage: hold serve SERVERS [PERF_ROW] | hold load SERVERS STREAMS SECONDS",
        )),
    }
}

async fn serve(servers: u16, row: Option<&String>) -> io::Result<()> {
    let mut handles = Vec::new();
    for number in 0..servers {
        let mut config = SimConfig {
            name: format!("sim-{number}"),
            ..SimConfig::default()
        };
        config.max_waiting = 100_000;
        config.perf = row.cloned().unwrap_or(config.perf);
        let simulator = Simulator::new(config).map_err(io::Error::other)?;
        handles.push(simulator.handle());
        let listener = TcpListener::bind(("127.0.0.1", FIRST_PORT + number)).await?;
        tokio::spawn(simulator.serve(listener, CancellationToken::new()));
    }
    let mut before = (0, 0, 0.0);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let stats: Vec<_> = handles.iter().map(|handle| handle.stats()).collect();
        let tokens: u64 = stats.iter().map(|stats| stats.generation_tokens).sum();
        let live: usize = stats.iter().map(|stats| stats.live).sum();
        let steps: u64 = stats.iter().map(|stats| stats.steps).sum();
        let lag: f64 = stats
            .iter()
            .map(|stats| stats.lag_mean_s * stats.steps as f64)
            .sum();
        let mean = (lag - before.2) / (steps - before.1).max(1) as f64;
        let worst = stats
            .iter()
            .map(|stats| stats.lag_max_s)
            .fold(0.0, f64::max);
        if live > 0 {
            println!(
                "live {live} tokens/s {} lag mean {:.2} ms, max ever {:.2} ms",
                tokens - before.0,
                mean * 1e3,
                worst * 1e3
            );
        }
        before = (tokens, steps, lag);
    }
}

async fn load(servers: u16, streams: u16, seconds: u16) -> io::Result<()> {
    let (events, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let opening = Arc::new(Semaphore::new(64));
    for number in 0..streams {
        let (events, bytes) = (Arc::clone(&events), Arc::clone(&bytes));
        let opening = Arc::clone(&opening);
        tokio::spawn(async move {
            let port = FIRST_PORT + number % servers;
            if let Err(error) = read(port, number, &opening, &events, &bytes).await {
                eprintln!("stream {number}: {error}");
            }
        });
    }
    let mut last = (0, Instant::now());
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = events.load(Ordering::Relaxed);
        let rate = (now - last.0) as f64 / last.1.elapsed().as_secs_f64();
        println!("events/s {rate:.0} bytes {}", bytes.load(Ordering::Relaxed));
        last = (now, Instant::now());
    }
    Ok(())
}

async fn read(
    port: u16,
    number: u16,
    opening: &Semaphore,
    events: &AtomicU64,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let permit = opening.acquire().await.map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let body = format!(
        r#"{{"prompt":"stream {number} {}","max_tokens":100000,"ignore_eos":true,"stream":true}}"#,
        "shared words ".repeat(60)
    );
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    drop(permit);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = buffer.get(..count).unwrap_or_default();
        // An event ends in two line feeds; one that is split across reads counts once.
        let ends = read.windows(2).filter(|pair| *pair == b"\n\n").count();
        events.fetch_add(ends as u64, Ordering::Relaxed);
        bytes.fetch_add(count as u64, Ordering::Relaxed);
    }
}
