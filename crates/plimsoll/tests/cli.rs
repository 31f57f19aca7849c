//! The commands as a user runs them: what they print, and how they end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail loudly too"
)]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_plimsoll");
/// Only ends tests that would hang.
const HANG: Duration = Duration::from_secs(60);

fn plimsoll(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/manifests")
}

/// A folder that is removed again.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        // Renamed into place, as editors and ConfigMap mounts do.
        let half = self.0.join(format!(".{name}.half"));
        std::fs::write(&half, text).unwrap();
        std::fs::rename(&half, &path).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running command that ends with the test.
struct Running {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line that holds `text`.
    #[track_caller]
    fn line(&mut self, text: &str) -> String {
        let end = Instant::now() + HANG;
        while let Ok(line) = self
            .lines
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line with {text:?} in {:#?}", self.seen);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `GET` over a plain socket.
fn get(address: &str, path: &str) -> String {
    use std::io::Write as _;
    let address = address.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn word(line: &str, number: usize) -> String {
    line.split_whitespace().nth(number).unwrap().to_owned()
}

#[test]
fn every_example_is_valid() {
    let mut checked = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let path = entry.unwrap().path();
        let output = plimsoll(&["check", "-f", path.to_str().unwrap()]);
        assert!(output.status.success(), "{}", out(&output));
        assert!(
            out(&output).contains("0 errors, 0 warnings"),
            "{}",
            out(&output)
        );
        checked += 1;
    }
    assert!(checked >= 3);
}

#[test]
fn check_names_every_problem_with_its_place() {
    let folder = Folder::new("check");
    let file = folder.write(
        "bad.yaml",
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: chat}\nspec:\n  hostnamez: [a.example]\n  rules:\n  - matches: [{path: {type: RegularExpression, value: '('}}]\n",
    );
    let output = plimsoll(&["check", "-f", &file]);
    assert!(!output.status.success());
    let text = out(&output);
    for wanted in [
        "bad.yaml",
        "hostnamez",
        "HTTPRoute default/chat",
        "matches[0].path",
    ] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}

#[test]
fn check_follows_a_request() {
    let file = examples().join("two-pools.yaml");
    let common = [
        "check",
        "-f",
        file.to_str().unwrap(),
        "--request",
        "POST /v1/chat/completions",
        "--host",
        "ai.example",
        "--body",
    ];
    let found = plimsoll(
        &[
            &common[..],
            &[r#"{"model":"sql-writer","messages":[{"role":"user","content":"x"}]}"#],
        ]
        .concat(),
    );
    assert!(found.status.success(), "{}", out(&found));
    for wanted in [
        "default/models",
        "rules[0]",
        "base       llama",
        "InferencePool default/llama",
    ] {
        assert!(
            out(&found).contains(wanted),
            "{wanted:?} is not in:\n{}",
            out(&found)
        );
    }
    let refused = plimsoll(
        &[
            &common[..],
            &[r#"{"model":"unknown","messages":[{"role":"user","content":"x"}]}"#],
        ]
        .concat(),
    );
    assert!(!refused.status.success());
    assert!(
        out(&refused).contains("404 model_not_found"),
        "{}",
        out(&refused)
    );
}

#[test]
fn up_without_anything_to_serve_says_what_to_give() {
    let output = plimsoll(&["up"]);
    assert!(!output.status.success());
    assert!(
        out(&output).contains("--endpoint http://"),
        "{}",
        out(&output)
    );
}

#[test]
fn taken_ports_are_named_without_a_panic() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [
        &["demo", "--port", &port, "--admin-port", "0"][..],
        &["demo", "--port", "0", "--admin-port", &port],
        &[
            "up",
            "--endpoint",
            "http://127.0.0.1:1",
            "--admin",
            "127.0.0.1:0",
            "--listen",
            &format!("127.0.0.1:{port}"),
        ],
        &["sim", "--listen", &format!("127.0.0.1:{port}")],
    ] {
        let output = plimsoll(arguments);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{arguments:?}: {}",
            out(&output)
        );
        let text = out(&output);
        assert!(
            text.contains(&port) && text.contains("port") && !text.contains("panicked"),
            "{arguments:?}: {text}"
        );
    }
}

#[test]
fn too_few_file_handles_are_named_without_a_panic() {
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 12 && exec \"$0\" demo --port 0 --admin-port 0",
            BINARY,
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    let text = out(&output);
    assert!(
        text.contains("handles") && !text.contains("panicked"),
        "{text}"
    );
}

#[test]
fn a_changed_file_takes_effect_and_a_broken_one_is_refused() {
    let folder = Folder::new("reload");
    let manifest = |endpoints: &str| format!("endpoints:\n{endpoints}");
    let one = "- {name: a, address: 127.0.0.1, port: \"1\"}\n";
    let two = "- {name: b, address: 127.0.0.1, port: \"2\"}\n";
    folder.write("endpoints.yaml", &manifest(one));
    let mut up = Running::start(&[
        "up",
        "-f",
        folder.0.to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    let admin = word(&up.line("admin "), 1);
    assert!(get(&admin, "/debug/endpoints").contains("\"generation\": 1"));

    folder.write("endpoints.yaml", &manifest(&[one, two].concat()));
    up.line("configuration in force");
    assert!(get(&admin, "/debug/endpoints").contains("default/b"));

    folder.write(
        "endpoints.yaml",
        "endpoints: [{name: c, adress: 127.0.0.1}]\n",
    );
    up.line("endpoints.yaml");
    assert!(
        get(&admin, "/debug/endpoints").contains("default/b"),
        "the last good one stays"
    );
    assert!(get(&admin, "/metrics").contains("plimsoll_config_refused_total 1"));
}

#[test]
fn the_admin_port_tells_health_and_refuses_what_it_does_not_know() {
    let mut up = Running::start(&[
        "up",
        "--endpoint",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    let admin = word(&up.line("admin "), 1);
    assert!(get(&admin, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(&admin, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(&admin, "/nope").starts_with("HTTP/1.1 404"));
    assert!(get(&admin, "/debug/decisions?modle=x").starts_with("HTTP/1.1 400"));
    let metrics = get(&admin, "/metrics");
    assert!(
        metrics.contains("application/openmetrics-text"),
        "{metrics}"
    );
    assert!(metrics.trim_end().ends_with("# EOF"));
}

#[test]
fn the_access_log_tells_each_request_as_json() {
    let mut up = Running::start(&[
        "up",
        "--endpoint",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--access-log",
        "--log-format",
        "json",
    ]);
    let gateway = word(&up.line("gateway "), 1);
    get(&gateway, "/v1/models/none");
    let line = up.line("\"target\":\"access\"");
    for wanted in [
        "\"result\":\"model_not_found\"",
        "\"status\":404",
        "\"request_id\":",
        "\"duration_ms\":",
    ] {
        assert!(line.contains(wanted), "{wanted} is not in {line}");
    }
}

#[test]
fn a_short_demo_prints_its_tables_and_ends() {
    let output = plimsoll(&[
        "demo",
        "--port",
        "0",
        "--admin-port",
        "0",
        "--requests",
        "60",
    ]);
    let text = out(&output);
    assert!(output.status.success(), "{text}");
    for wanted in ["curl -s", "decided by", "round robin", "TTFT p90"] {
        assert!(text.contains(wanted), "{wanted:?} is not in:\n{text}");
    }
}
