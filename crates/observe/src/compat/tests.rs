use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

fn sample(file: &str) -> Option<Vec<Vec<String>>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/samples")
        .join(file);
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/data/samples/{file} is absent");
        return None;
    };
    let rows = text
        .lines()
        .skip(1)
        .map(|line| line.split('\t').map(str::to_owned).collect());
    Some(rows.collect())
}

fn buckets(text: &str) -> Vec<f64> {
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|bound| bound.parse().unwrap())
        .collect()
}

#[test]
fn families_are_those_of_the_reference() {
    for (file, sets) in [
        (
            "epp_metrics_gie_v1.5.0.tsv",
            &[NameSet::Gie, NameSet::Bbr][..],
        ),
        ("epp_metrics_llmd_head.tsv", &[NameSet::LlmD]),
    ] {
        let Some(rows) = sample(file) else {
            continue;
        };
        let ours: Vec<_> = families()
            .iter()
            .filter(|family| sets.contains(&family.set))
            .collect();
        assert_eq!(ours.len(), rows.len(), "{file}");
        for row in rows {
            let family = ours
                .iter()
                .find(|family| family.name == row[0])
                .unwrap_or_else(|| panic!("no {}", row[0]));
            let kind = match row[1].as_str() {
                "counter" => FamilyKind::Counter,
                "gauge" => FamilyKind::Gauge,
                _ => FamilyKind::Histogram(buckets(&row[3])),
            };
            assert_eq!(family.kind, kind, "{}", row[0]);
            let labels: BTreeSet<_> = row[2]
                .split(',')
                .filter(|label| !label.is_empty())
                .collect();
            assert_eq!(
                family.labels.iter().copied().collect::<BTreeSet<_>>(),
                labels,
                "{}",
                row[0]
            );
        }
    }
}

#[test]
fn counters_and_histograms_are_written_in_the_classic_format() {
    let book = Book::new(NameSet::Gie);
    book.add(
        "inference_objective_request_total",
        &["m\"1", "t", "2"],
        1.0,
    );
    for tokens in [7.0, 8.0, 9.0, 1e9] {
        book.observe("inference_objective_output_tokens", &["m", "t"], tokens);
    }
    let text = book.render();
    for line in [
        "# HELP inference_objective_request_total [ALPHA] Counter of inference objective requests broken out for each model and target model.",
        "# TYPE inference_objective_request_total counter",
        r#"inference_objective_request_total{model_name="m\"1",target_model_name="t",priority="2"} 1"#,
        r#"inference_objective_output_tokens_bucket{model_name="m",target_model_name="t",le="1"} 0"#,
        r#"inference_objective_output_tokens_bucket{model_name="m",target_model_name="t",le="8"} 2"#,
        r#"inference_objective_output_tokens_bucket{model_name="m",target_model_name="t",le="8192"} 3"#,
        r#"inference_objective_output_tokens_bucket{model_name="m",target_model_name="t",le="+Inf"} 4"#,
        r#"inference_objective_output_tokens_count{model_name="m",target_model_name="t"} 4"#,
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nin\n{text}"
        );
    }
    assert!(
        !text.contains("inference_pool_ready_pods"),
        "nothing happened there"
    );
}

#[test]
fn names_from_requests_are_bounded() {
    let bounded = Bounded::default();
    for number in 0..NAMES_MAX {
        let name: Arc<str> = format!("m{number}").into();
        assert_eq!(bounded.of(Some(&name)), name);
    }
    assert_eq!(&*bounded.of(Some(&"one more".into())), OTHER);
    assert_eq!(&*bounded.of(Some(&"m7".into())), "m7");
    assert_eq!(&*bounded.of(None), "");
}
