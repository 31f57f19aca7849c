use serde_json::json;

use super::*;
use crate::{Instance, PluginType, Reads, Roles};

#[test]
fn unknown_parameters_are_refused_where_the_reference_refuses_them() {
    let registry = Registry::standard();
    for kind in registry.kinds() {
        let with = registry.instance(kind.name, &json!({ "colour": "red" }));
        let complains = with.is_err_and(|faults| {
            let named = |fault: &ParameterFault| fault.message.contains("unknown field `colour`");
            faults.iter().any(named)
        });
        assert_eq!(complains, !kind.lenient, "{}", kind.name);
        // Absent, null and empty parameters are the same, but for those that must have some.
        let bare = registry.instance(kind.name, &Value::Null).is_ok();
        let empty = registry.instance(kind.name, &json!({})).is_ok();
        assert_eq!(bare, empty, "{}", kind.name);
    }
}

#[test]
fn names_are_sorted_and_unique_and_roles_are_what_instances_have() {
    let registry = Registry::standard();
    assert!(
        registry
            .kinds()
            .windows(2)
            .all(|pair| pair[0].name < pair[1].name)
    );
    for kind in registry.kinds() {
        let Ok(instance) = registry.instance(kind.name, &Value::Null) else {
            continue;
        };
        let has = [
            (Roles::FILTER, instance.filter.is_some()),
            (Roles::SCORER, instance.scorer.is_some()),
            (Roles::PICKER, instance.picker.is_some()),
            (Roles::HANDLER, instance.handler.is_some()),
            (Roles::DECIDER, instance.decider.is_some()),
            (Roles::ADMITTER, instance.admitter.is_some()),
            (Roles::HEADERS, instance.headers.is_some()),
            (Roles::SCREENER, instance.screener.is_some()),
        ];
        for (role, has) in has {
            let may = kind.name == "context-length-aware" && role == Roles::FILTER;
            assert!(may || kind.roles.has(role) == has, "{} {role:?}", kind.name);
        }
    }
}

#[test]
fn a_misspelt_type_finds_its_neighbours() {
    let registry = Registry::standard();
    assert!(
        registry
            .suggestions("quene-scorer")
            .starts_with("queue-scorer")
    );
    assert!(
        registry
            .suggestions("max-score")
            .contains("max-score-picker")
    );
}

#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Mine {}

impl PluginType for Mine {
    fn build(self, build: &mut Build<'_>) -> Instance {
        build.fault("x", "nothing is right");
        Instance::default()
    }
}

#[test]
fn a_later_type_wins() {
    let mut registry = Registry::standard();
    let number = registry.kinds().len();
    registry.register(Kind::new::<Mine>("queue-scorer", Roles::SCORER));
    assert_eq!(registry.kinds().len(), number);
    let faults = registry.instance("queue-scorer", &Value::Null).unwrap_err();
    assert_eq!((faults[0].path.as_str(), faults.len()), ("x", 1));
}

#[test]
fn the_schema_knows_every_type() {
    let registry = Registry::standard();
    let text = registry.schema().to_string();
    for kind in registry.kinds() {
        assert!(
            text.contains(&format!("\"{}\"", kind.name)),
            "{}",
            kind.name
        );
    }
    for field in [
        "matchLengthWeight",
        "maxTTFTPenaltyMs",
        "noEndpointRequestTTL",
        "injectDefaults",
    ] {
        assert!(text.contains(field), "{field}");
    }
}

#[test]
fn the_default_profile_reads_what_its_scorers_read() {
    let reads = crate::Profile::default_profile().reads();
    assert!(reads.contains(Reads::LEDGER | Reads::HEALTH | Reads::PREFIX));
    assert!(!reads.contains(Reads::HEADERS));
}
