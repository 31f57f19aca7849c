//! `epp_cases.json`.

use lifecycle::ReferenceDialect;
use serde_json::Value;

use crate::compare;
use crate::differences::Differences;
use crate::house::{self, Given};
use crate::metrics;
use crate::play::Stream;
use crate::scenario;

fn dialect(case: &Value) -> ReferenceDialect {
    if case["dialect"] == "llm-d-router" {
        ReferenceDialect::LlmD
    } else {
        ReferenceDialect::Gie
    }
}

/// Manifests of the mode: custom resources, or none.
fn manifests<'d>(document: &'d Value, case: &Value, mode: &str) -> Option<&'d str> {
    if mode == "Standalone-NoCRD" {
        return None;
    }
    let objects = case["given"]["objects"].as_str()?;
    document["fixtures"]["manifests"][objects]["yaml"].as_str()
}

async fn play(document: &Value, case: &Value, mode: &str) -> Result<(), String> {
    let given = &case["given"];
    let config = given["config"].as_str().unwrap_or_default();
    let none = Vec::new();
    let given = Given {
        dialect: dialect(case),
        manifests: manifests(document, case, mode),
        pods: given["pods"].as_array().unwrap_or(&none),
        config: document["fixtures"]["configs"][config]["yaml"]
            .as_str()
            .unwrap_or("{apiVersion: llm-d.ai/v1alpha1, kind: EndpointPickerConfig}"),
        flags: &given["flags"],
    };
    let (picker, compat) = house::picker(&given);
    let mut client = house::serve(picker).await;
    let expect = &case["expect"];
    let mut stream = Stream::open(&mut client).await;
    stream.send(case["requests"].as_array().unwrap());
    let want = expect["responses"].as_array().unwrap_or(&none);
    let count = expect["read_count"]
        .as_u64()
        .map_or(want.len(), |count| usize::try_from(count).unwrap());
    let got = stream.read(count).await;
    let wanted = expect["metrics_by_mode"]
        .get(mode)
        .unwrap_or(&expect["metrics"]);
    // Counters that come with the end of the exchange are there once the stream is.
    drop(stream);
    metrics::told(&compat, wanted).await?;
    match expect["compare"]["mode"].as_str() {
        Some("assertions") => {
            compare::assertions(&got, expect["assertions"].as_array().unwrap_or(&none))
        }
        _ => compare::exact(&got, want).or_else(|error| relaxed(expect, &got, error)),
    }
}

/// A weaker match that a case allows: the answer's kind and status, and the beginning of its text.
fn relaxed(expect: &Value, got: &[Value], error: String) -> Result<(), String> {
    let relaxed = &expect["relaxed_match"];
    if relaxed.is_null() {
        return Err(error);
    }
    scenario::relaxed(relaxed, got).map_err(|_| error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_pickers_cases() {
    let Some(document) = crate::cases("epp_cases.json") else {
        return;
    };
    let differences = Differences::read();
    let (mut played, mut failed) = (0, Vec::new());
    for case in document["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let result = match case["kind"].as_str() {
            Some("ext_proc") => {
                let modes = case["modes"].as_array().cloned().unwrap_or_default();
                let mut result = Ok(());
                for mode in modes.iter().filter_map(Value::as_str) {
                    let outcome = play(&document, case, mode).await;
                    result = result.and(outcome.map_err(|error| format!("[{mode}] {error}")));
                }
                result
            }
            Some("scenario") => scenario::play(&document, case, dialect(case)).await,
            _ => continue,
        };
        played += 1;
        if let Some(problem) = differences.judge(id, &result) {
            failed.push(problem);
        }
    }
    eprintln!("{played} cases played, {} failed", failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
