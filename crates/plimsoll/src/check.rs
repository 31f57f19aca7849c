//! `plimsoll check`: validates manifests offline, and follows one request through the routes.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use lifecycle::{Core, Door, Explanation, Settings, Silent, View};
use resources::{Options, Severity, Snapshot};
use scheduling::{BuildOptions, Registry, Scheduler};

use crate::cli::CheckOptions;
use crate::clock::MonotonicClock;

pub(crate) fn run(options: &CheckOptions) -> Result<ExitCode, Box<dyn Error>> {
    if options.print_schema {
        println!("{:#}", Registry::standard().schema());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(path) = &options.picker_config {
        let code = picker(path, options.allow_experimental_plugins)?;
        let more = !options.files.is_empty() || !options.endpoints.is_empty();
        if code != ExitCode::SUCCESS || !more {
            return Ok(code);
        }
    }
    let sources = manifests::read(&options.files)?;
    let build = Options {
        default_listen_port: 8080,
        endpoints: options.endpoints.clone(),
        ..Options::default()
    };
    let (snapshot, mut problems) = resources::build(&sources, &build);
    problems.sort_by_key(|problem| problem.severity != Severity::Error);
    for problem in &problems {
        println!("{problem}");
    }
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    let tls = gateway::Gateway::check(&snapshot);
    if let Err(error) = &tls {
        println!("error: {error}");
    }
    println!(
        "{} files, {errors} errors, {} warnings",
        sources.len(),
        problems.len() - errors
    );
    if errors > 0 || tls.is_err() {
        return Ok(ExitCode::FAILURE);
    }
    match &options.request {
        None => {
            print!("{}", snapshot.summary());
            Ok(ExitCode::SUCCESS)
        }
        Some(request) => follow(options, request, snapshot),
    }
}

/// Prints what a picker configuration comes to, after what is wrong or odd about it.
fn picker(path: &Path, allow_experimental: bool) -> Result<ExitCode, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let options = BuildOptions {
        allow_experimental,
        ..BuildOptions::default()
    };
    let origin = path.display().to_string();
    let registry = Registry::standard();
    let (scheduler, problems) = Scheduler::read(&origin, &text, &registry, options, None);
    for problem in &problems {
        eprintln!("{}: {problem}", problem.severity);
    }
    let Some(scheduler) = scheduler else {
        return Ok(ExitCode::FAILURE);
    };
    let effective = scheduler.effective();
    let added: Vec<&str> = effective.added().collect();
    println!("# {origin} with all defaults filled in.");
    println!("# Added: {}", added.join(", "));
    if let Some(config) = effective.config() {
        print!("{}", config.to_yaml());
    }
    Ok(ExitCode::SUCCESS)
}

fn follow(
    options: &CheckOptions,
    request: &str,
    snapshot: Snapshot,
) -> Result<ExitCode, Box<dyn Error>> {
    let port = match options.port {
        Some(port) => port,
        None => snapshot
            .listeners
            .first()
            .map(|listener| listener.port)
            .ok_or("the manifests declare no listener")?,
    };
    let tls = snapshot
        .listeners
        .iter()
        .any(|listener| listener.port == port && !listener.tls.is_empty());
    let view = View::unpopulated(Arc::new(snapshot));
    let core = Arc::new(Core::new(
        view,
        Settings::default(),
        Arc::new(MonotonicClock::start()),
        Arc::new(Silent),
        0,
    ));
    let door = Door {
        port,
        tls,
        sni: tls.then(|| options.host.as_str().into()),
        ..Door::default()
    };
    let body = body(options.body.as_deref())?;
    let (parts, ()) = head(options, request)?.into_parts();
    let explanation = lifecycle::explain(&core, door, parts, body);
    print!("{}", render(&explanation));
    Ok(if explanation.refusal.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn head(options: &CheckOptions, request: &str) -> Result<Request<()>, Box<dyn Error>> {
    let wrong =
        || format!("--request \"{request}\" is not METHOD PATH, e.g. 'POST /v1/chat/completions'");
    let (method, path) = request.trim().split_once(' ').ok_or_else(wrong)?;
    let mut builder = Request::builder()
        .method(method.parse::<Method>().map_err(|_| wrong())?)
        .uri(path.trim());
    builder = builder.header(http::header::HOST, &options.host);
    for header in &options.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or("a --header is 'Name: value'")?;
        let name: HeaderName = name.trim().parse()?;
        builder = builder.header(name, HeaderValue::from_str(value.trim())?);
    }
    if options.body.is_some()
        && !options
            .headers
            .iter()
            .any(|header| header.to_ascii_lowercase().starts_with("content-type"))
    {
        builder = builder.header(http::header::CONTENT_TYPE, "application/json");
    }
    Ok(builder.body(())?)
}

fn body(argument: Option<&str>) -> Result<Option<Bytes>, Box<dyn Error>> {
    match argument {
        None => Ok(None),
        Some(text) => match text.strip_prefix('@') {
            None => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
            Some(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|error| format!("cannot read the body from {path}: {error}"))?;
                Ok(Some(bytes.into()))
            }
        },
    }
}

fn render(explanation: &Explanation) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    for (name, value) in [
        ("listener", &explanation.listener),
        ("route", &explanation.route),
        ("rule", &explanation.rule),
        ("match", &explanation.matched),
        ("model", &explanation.model),
        ("base", &explanation.base_model),
    ] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    for backend in &explanation.backends {
        line("backend", backend);
    }
    for rewrite in &explanation.rewrites {
        line("rewrite", rewrite);
    }
    if let Some(answer) = &explanation.answer {
        line("answer", answer);
    }
    if let Some(refusal) = &explanation.refusal {
        line(
            "refused",
            &format!("{} {refusal}", refusal.status().as_u16()),
        );
    }
    text
}
