use clap::Parser;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::test_server::{Answer, TestServer, chat};

#[derive(Parser)]
enum Cli {
    Load(LoadOptions),
    Replay(ReplayOptions),
}

fn replay(arguments: &[&str]) -> ReplayOptions {
    match Cli::try_parse_from([&["x", "replay"], arguments].concat()) {
        Ok(Cli::Replay(options)) => options,
        Ok(Cli::Load(_)) => unreachable!(),
        Err(error) => panic!("{error}"),
    }
}

fn load(arguments: &[&str]) -> Result<LoadOptions, String> {
    match Cli::try_parse_from([&["x", "load"], arguments].concat()) {
        Ok(Cli::Load(options)) => Ok(options),
        Ok(Cli::Replay(_)) => unreachable!(),
        Err(error) => Err(error.to_string()),
    }
}

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const TRACE: &str = "timestamp_ms,input_length,output_length,hash_ids\n\
    0,700,50,0 5\n2000,600,9,0 7\n4000,512,9,0\n6000,10,9,8\n";

async fn model_server() -> TestServer {
    TestServer::start(|_, asked| match asked.head.as_str() {
        head if head.starts_with("GET /v1/models") => Answer::Whole(
            200,
            r#"{"data":[{"id":"served"},{"id":"other"}]}"#.to_owned(),
        ),
        _ => Answer::Stream(chat(2, 100, Some(50))),
    })
    .await
}

#[tokio::test]
async fn a_trace_is_replayed_with_shared_prefixes() {
    let trace = File::new("replay.csv", TRACE);
    let figures = File::new("replay.json", "");
    let mut server = model_server().await;
    let url = server.url();
    let options = replay(&[
        "--trace",
        trace.path(),
        "--endpoint",
        &url,
        "--requests",
        "3",
        "--time-scale",
        "1000",
        "--max-output",
        "20",
        "--json",
        figures.path(),
        "--quiet",
    ]);
    let finished = options.run(CancellationToken::new()).await.unwrap();
    assert!(finished.is_clean(), "{}", finished.text);
    assert_eq!(finished.summary.total.requests, 3);
    assert_eq!(finished.summary.time_scale, 1_000.0);
    assert!(
        finished.report.wall >= std::time::Duration::from_millis(4),
        "4 s at scale 1,000"
    );

    let mut bodies: Vec<serde_json::Value> = server
        .requests()
        .into_iter()
        .filter(|asked| asked.head.starts_with("POST"))
        .map(|asked| serde_json::from_str(&asked.body).unwrap())
        .collect();
    bodies.sort_by_key(|body| {
        std::cmp::Reverse(body["messages"][0]["content"].as_str().unwrap().len())
    });
    assert_eq!(bodies.len(), 3);
    let text = |n: usize| bodies[n]["messages"][0]["content"].as_str().unwrap();
    assert_eq!(
        [text(0).len(), text(1).len(), text(2).len()],
        [2_800, 2_400, 2_048]
    );
    assert_eq!(
        text(0)[..2_048],
        text(1)[..2_048],
        "block 0 is the same text"
    );
    assert_ne!(text(0)[2_048..2_400], text(1)[2_048..]);
    assert_eq!(bodies[0]["model"], "served");
    assert_eq!(bodies[0]["ignore_eos"], true);
    assert_eq!(
        (
            bodies[0]["max_tokens"].as_u64(),
            bodies[1]["max_tokens"].as_u64()
        ),
        (Some(20), Some(9))
    );

    let again = replay(&[
        "--trace",
        trace.path(),
        "--endpoint",
        &url,
        "--requests",
        "3",
        "--time-scale",
        "1000",
        "--model",
        "m",
        "--compare",
        figures.path(),
        "--quiet",
    ]);
    let finished = again.run(CancellationToken::new()).await.unwrap();
    assert!(finished.text.contains("cache hits"), "{}", finished.text);
    assert!(
        finished.text.contains("the other: replay of"),
        "{}",
        finished.text
    );
}

#[tokio::test]
async fn a_replay_says_what_it_could_not_do() {
    let trace = File::new("short.csv", TRACE);
    let server = model_server().await;
    let run = |more: &[&str]| {
        let url = server.url();
        let options = replay(
            &[
                &[
                    "--trace",
                    trace.path(),
                    "--endpoint",
                    &url,
                    "--time-scale",
                    "1e5",
                    "-q",
                ],
                more,
            ]
            .concat(),
        );
        async move { options.run(CancellationToken::new()).await }
    };
    let finished = run(&["--requests", "9"]).await.unwrap();
    assert!(
        finished.text.contains("the trace has only 4"),
        "{}",
        finished.text
    );
    let finished = run(&["--keep-bursts"]).await.unwrap();
    assert!(finished.text.contains("rounded to 2s"), "{}", finished.text);
    let error = run(&["--skip", "4"]).await.unwrap_err();
    assert!(error.to_string().contains("nothing is left"), "{error}");
    let error = run(&["--rate-scale", "0"]).await.unwrap_err();
    assert!(error.to_string().contains("above 0"), "{error}");
    let error = run(&["--compare", "/nonexistent"]).await.unwrap_err();
    assert!(
        error.to_string().starts_with("cannot read /nonexistent"),
        "{error}"
    );
}

#[tokio::test]
async fn conversations_keep_their_model() {
    let trace = File::new(
        "models.csv",
        "timestamp_ms,input_length,output_length,hash_ids\n0,1500,1,0-2\n1,2500,1,0-4\n2,1024,1,0 9\n",
    );
    let mut server = model_server().await;
    let url = server.url();
    let options = replay(&[
        "--trace",
        trace.path(),
        "--endpoint",
        &url,
        "--model",
        "a,b,c,d",
        "-q",
    ]);
    options.run(CancellationToken::new()).await.unwrap();
    let mut asked: Vec<(usize, String)> = server
        .requests()
        .iter()
        .map(|asked| (asked.body.len(), asked.body[..14].to_owned()))
        .collect();
    asked.sort();
    assert_eq!(asked[1].1, asked[2].1, "the two that share blocks 0 to 2");
}

#[tokio::test]
async fn load_runs_closed_open_and_paired() {
    let (server, direct) = (model_server().await, model_server().await);
    let (url, direct_url) = (server.url(), direct.url());
    let base = [
        "--endpoint",
        &url,
        "-q",
        "--requests",
        "20",
        "--question",
        "5",
        "--prefix",
        "3",
    ];
    let paces: [&[&str]; 2] = [&["--concurrency", "3"], &["--rate", "5000"]];
    for pace in paces {
        let options = load(&[&base[..], pace].concat()).unwrap();
        let finished = options.run(CancellationToken::new()).await.unwrap();
        assert!(finished.is_clean(), "{}", finished.text);
        assert_eq!(finished.summary.total.requests, 20);
        assert!(finished.summary.added.is_none());
    }
    let options = load(&[&base[..], paces[0], &["--direct", &direct_url]].concat()).unwrap();
    let finished = options.run(CancellationToken::new()).await.unwrap();
    assert_eq!(finished.summary.added.unwrap().pairs, 10);
    assert!(
        finished
            .text
            .contains(&format!("added by {url} over {direct_url}")),
        "{}",
        finished.text
    );
}

#[test]
fn options_that_contradict_are_refused() {
    let url = ["--endpoint", "http://h"];
    assert!(load(&url).unwrap_err().contains("--concurrency"));
    let both = [
        "--endpoint",
        "http://h",
        "--concurrency",
        "1",
        "--rate",
        "1",
    ];
    assert!(load(&both).unwrap_err().contains("cannot be used with"));
    assert!(
        load(&["--concurrency", "1"])
            .unwrap_err()
            .contains("--endpoint")
    );
}

#[test]
fn header_values_stay_hidden() {
    let option: HeaderOption = "Authorization: Bearer secret".parse().unwrap();
    assert_eq!(format!("{option:?}"), "authorization: (hidden)");
    for wrong in ["secret", "a b: secret", "name: sec\u{1}ret"] {
        let error = wrong.parse::<HeaderOption>().unwrap_err();
        assert!(!error.contains("sec"), "{error}");
    }
}
