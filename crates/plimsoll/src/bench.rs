//! `plimsoll bench` and `plimsoll lab`: the lab's load side until it is done or Ctrl-C is pressed, and
//! its virtual side.

use std::error::Error;
use std::process::ExitCode;

use lab::bench::{Finished, LoadOptions, ReplayOptions};
use lab::routing::RoutingOptions;
use tokio_util::sync::CancellationToken;

type Outcome = Result<ExitCode, Box<dyn Error>>;

pub(crate) async fn replay(options: ReplayOptions) -> Outcome {
    options
        .run(until_interrupted())
        .await
        .map(|finished| report(&finished))
        .map_err(Into::into)
}

pub(crate) async fn load(options: LoadOptions) -> Outcome {
    options
        .run(until_interrupted())
        .await
        .map(|finished| report(&finished))
        .map_err(Into::into)
}

pub(crate) async fn epp(options: lab::ext_proc::EppOptions) -> Outcome {
    let json = options.json.clone();
    let report = options.run(until_interrupted()).await?;
    print!("{}", report.text());
    if let Some(path) = json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// `plimsoll lab routing`. It owns its threads and needs no others.
pub(crate) fn routing(options: &RoutingOptions) -> Outcome {
    println!("{}", options.run()?);
    Ok(ExitCode::SUCCESS)
}

fn report(finished: &Finished) -> ExitCode {
    println!("{}", finished.text);
    if finished.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Cancelled at the first Ctrl-C: the run stops and reports what it has.
fn until_interrupted() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    token
}
