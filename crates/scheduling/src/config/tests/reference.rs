//! Configurations of the reference's own tests, when they are beside the project.

use std::path::Path;

use serde_json::Value;

use super::*;

fn cases(name: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cases");
    let Ok(text) = std::fs::read_to_string(path.join(name)) else {
        println!("skipped: {name} is not beside the project");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn every_fixture_loads() {
    let Some(document) = cases("epp_cases.json") else {
        return;
    };
    let options = BuildOptions {
        allow_experimental: true,
        ..BuildOptions::default()
    };
    let configs = document["fixtures"]["configs"].as_object().unwrap();
    assert!(!configs.is_empty());
    for (id, config) in configs {
        let text = config["yaml"].as_str().unwrap();
        let registry = Registry::standard();
        let (scheduler, problems) = Scheduler::read(id, text, &registry, options, None);
        assert!(scheduler.is_some(), "{id}: {problems:#?}");
    }
    for case in document["cases"].as_array().unwrap() {
        if case["kind"] != "config_load" {
            continue;
        }
        let id = case["given"]["config"].as_str().unwrap();
        let text = configs[id]["yaml"].as_str().unwrap();
        let (scheduler, _) = Scheduler::read(id, text, &Registry::standard(), options, None);
        let scheduler = scheduler.unwrap();
        let plugins: Vec<(&str, &str)> = scheduler.effective().plugins().collect();
        let wanted = case["expect"]["plugins_instantiated_at_least"].as_array();
        for plugin in wanted.into_iter().flatten() {
            let pair = (
                plugin["name"].as_str().unwrap(),
                plugin["type"].as_str().unwrap(),
            );
            assert!(plugins.contains(&pair), "{id}: {pair:?} in {plugins:?}");
        }
    }
}
