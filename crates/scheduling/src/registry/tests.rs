use serde_json::json;

use super::*;
use crate::Reads;

fn spec(plugins: &[(&str, Value)]) -> ProfileSpec {
    let plugin = |(kind, parameters): &(&str, Value)| PluginSpec {
        kind: (*kind).to_owned(),
        parameters: parameters.clone(),
        ..PluginSpec::default()
    };
    ProfileSpec {
        plugins: plugins.iter().map(plugin).collect(),
    }
}

#[test]
fn every_type_builds_without_parameters_and_refuses_unknown_ones() {
    let registry = Registry::standard();
    let kinds: Vec<_> = registry.kinds().collect();
    for wanted in [
        "active-request-scorer",
        "health-filter",
        "kv-cache-utilization-scorer",
        "lora-affinity-scorer",
        "max-score-picker",
        "min-cost-scorer",
        "prefix-cache-scorer",
        "queue-scorer",
        "random-picker",
        "round-robin-picker",
        "running-requests-size-scorer",
        "token-load-scorer",
        "weighted-random-picker",
    ] {
        assert!(kinds.contains(&wanted), "{wanted}");
    }
    for kind in kinds {
        assert!(
            registry.profile(&spec(&[(kind, Value::Null)])).is_ok(),
            "{kind}"
        );
        assert!(
            registry.profile(&spec(&[(kind, json!({}))])).is_ok(),
            "{kind}"
        );
        let error = registry
            .profile(&spec(&[(kind, json!({ "colour": "red" }))]))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("unknown field `colour`") && text.contains(kind),
            "{text}"
        );
    }
}

#[test]
fn problems_say_where_what_and_what_would_be_right() {
    let registry = Registry::standard();
    let message = |spec: &ProfileSpec| registry.profile(spec).unwrap_err().to_string();
    let unknown = message(&spec(&[
        ("queue-scorer", Value::Null),
        ("quene-scorer", Value::Null),
    ]));
    assert!(unknown.starts_with("plugins[1]: plugin type 'quene-scorer' is not registered"));
    assert!(unknown.contains("queue-scorer, random-picker"), "{unknown}");
    let twice = message(&spec(&[
        ("queue-scorer", Value::Null),
        ("queue-scorer", Value::Null),
    ]));
    assert!(
        twice.contains("plugins[1]: duplicate plugin name 'queue-scorer'"),
        "{twice}"
    );
    let pickers = message(&spec(&[
        ("random-picker", Value::Null),
        ("max-score-picker", Value::Null),
    ]));
    assert!(
        pickers.contains("'max-score-picker' is a second picker"),
        "{pickers}"
    );
    let range = message(&spec(&[(
        "prefix-cache-scorer",
        json!({ "matchLengthWeight": 2 }),
    )]));
    assert!(
        range.contains("matchLengthWeight is 2: it must lie in [0, 1]"),
        "{range}"
    );
    let scale = json!({ "matchLengthWeight": 0.5, "matchLengthScaleTokens": 0 });
    assert!(message(&spec(&[("prefix-cache-scorer", scale)])).contains("matchLengthScaleTokens"));
    for weight in [f64::NAN, f64::INFINITY, 1e300] {
        let mut heavy = spec(&[("queue-scorer", Value::Null)]);
        heavy.plugins[0].weight = Some(weight);
        assert!(
            message(&heavy).contains("must be a finite number"),
            "{weight}"
        );
    }
}

#[test]
fn names_weights_and_reads() {
    let mut twice = spec(&[("queue-scorer", Value::Null), ("queue-scorer", Value::Null)]);
    twice.plugins[1].name = Some("again".into());
    twice.plugins[1].weight = Some(-2.5);
    let profile = Registry::standard().profile(&twice).unwrap();
    let weights: Vec<_> = profile
        .weights()
        .map(|(name, weight)| (&**name, weight))
        .collect();
    assert_eq!(weights, [("queue-scorer", 1.0), ("again", -2.5)]);
    assert!(profile.reads().contains(Reads::QUEUE) && !profile.reads().contains(Reads::PREFIX));
    assert!(
        Profile::default_profile()
            .reads()
            .contains(Reads::LEDGER | Reads::HEALTH)
    );
}

#[test]
fn a_later_factory_wins() {
    let mut registry = Registry::standard();
    registry.register(Factory {
        kind: "queue-scorer",
        build: |value| {
            parameters::<NoParameters>(value)?;
            Err(ParameterError::Range {
                field: "x",
                value: "1".into(),
                allowed: "nothing is",
            })
        },
    });
    assert!(
        registry
            .profile(&spec(&[("queue-scorer", Value::Null)]))
            .is_err()
    );
}
