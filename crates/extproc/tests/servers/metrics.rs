//! Whether the metrics a case expects are on the page.

use std::collections::BTreeSet;
use std::time::Duration;

use observe::Compat;
use serde_json::Value;

/// The lines of one family, labels in order of their names, buckets by number.
fn lines(text: &str, family: &str) -> BTreeSet<String> {
    let of_family = |line: &&str| {
        let name = line
            .strip_prefix("# HELP ")
            .or_else(|| line.strip_prefix("# TYPE "))
            .unwrap_or(line);
        let name = name.split([' ', '{']).next().unwrap_or_default();
        let bare = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        name == family || bare == family
    };
    text.lines()
        .map(str::trim)
        .filter(of_family)
        .map(sorted)
        .collect()
}

fn sorted(line: &str) -> String {
    let (Some(open), Some(close)) = (line.find('{'), line.rfind('}')) else {
        return line.to_owned();
    };
    let mut labels: Vec<String> = line[open + 1..close]
        .split("\",")
        .map(|label| label.trim_end_matches('"').to_owned())
        .map(|label| match label.strip_prefix("le=\"") {
            Some(bound) => format!("le={}", bound.parse::<f64>().unwrap()),
            None => label,
        })
        .filter(|label| !label.is_empty())
        .collect();
    labels.sort();
    let value: f64 = line[close + 1..].trim().parse().unwrap();
    format!("{}{{{}}} {value}", &line[..open], labels.join(","))
}

/// Waits until every wanted family reads as it should.
pub async fn told(compat: &Compat, wanted: &Value) -> Result<(), String> {
    let mut problem = Ok(());
    for _ in 0..100 {
        problem = Ok(());
        let page = compat.render();
        for entry in wanted.as_array().into_iter().flatten() {
            let family = entry["family"].as_str().unwrap_or_default();
            let want = lines(entry["text"].as_str().unwrap_or_default(), family);
            let got = lines(&page, family);
            if got != want {
                problem = Err(format!("{family}:\n    got  {got:#?}\n    want {want:#?}"));
            }
        }
        if problem.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    problem
}
