//! `bbr_cases.json`.

use std::collections::HashMap;
use std::sync::Arc;

use extproc::{
    BodyMessage, PluginSpec, Router, RouterOptions, RouterPlugin, RouterPlugins, SilentRouter,
};
use lifecycle::{Clock, Core, ErrorStyle, ReferenceDialect, Settings, Silent, View};
use payload::Parsers;
use resources::{Options, Serves, Source};
use serde_json::Value;
use signals::Time;

use crate::compare;
use crate::differences::Differences;
use crate::house;
use crate::play::Stream;

#[derive(Debug)]
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Time {
        Time::from_nanos(1)
    }
}

/// The plugins that exist only in the reference's tests: set a field or a header, in one of the two phases.
struct TestPlugin {
    name: String,
    on_response: bool,
    field: Option<(String, Value)>,
    header: Option<(String, String)>,
}

impl TestPlugin {
    fn parse(plugin: &Value) -> Self {
        let behaviour = plugin["behaviour"].as_str().unwrap();
        let (name, value) = behaviour
            .rsplit(' ')
            .next()
            .and_then(|last| last.split_once('='))
            .unwrap();
        let value: Value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        let header = behaviour.contains("header");
        Self {
            name: plugin["name"]
                .as_str()
                .or(plugin["type"].as_str())
                .unwrap()
                .to_owned(),
            on_response: plugin["phase"] == "response",
            field: (!header).then(|| (name.to_owned(), value.clone())),
            header: header.then(|| {
                (
                    name.to_owned(),
                    value.as_str().unwrap_or_default().to_owned(),
                )
            }),
        }
    }

    fn work(&self, message: &mut BodyMessage<'_>) {
        if let Some((name, value)) = &self.field {
            message.set_field(name, value.clone());
        }
        if let Some((name, value)) = &self.header {
            message.set_header(name, value);
        }
    }
}

impl RouterPlugin for TestPlugin {
    fn kind(&self) -> &str {
        "test"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn request(&self, message: &mut BodyMessage<'_>) {
        if !self.on_response {
            self.work(message);
        }
    }

    fn reads_answers(&self) -> bool {
        self.on_response
    }

    fn response(&self, message: &mut BodyMessage<'_>) {
        if self.on_response {
            self.work(message);
        }
    }
}

fn plugins(given: &Value) -> RouterPlugins {
    let mut all: Vec<Arc<dyn RouterPlugin>> = Vec::new();
    for plugin in given["plugins"].as_array().into_iter().flatten() {
        let kind = plugin["type"].as_str().unwrap();
        let parameters = match kind {
            "body-field-to-header" => serde_json::json!({
                "fieldName": plugin["field"], "headerName": plugin["header"],
            }),
            "base-model-to-header" => Value::Null,
            _ => {
                all.push(Arc::new(TestPlugin::parse(plugin)));
                continue;
            }
        };
        let spec = PluginSpec {
            kind: kind.to_owned(),
            name: kind.to_owned(),
            parameters,
        };
        all.extend(RouterPlugins::from_specs(&[spec]).unwrap().into_list());
    }
    RouterPlugins::new(all)
}

fn router(given: &Value) -> Router {
    let mut text = String::new();
    for map in given["config_maps"].as_array().into_iter().flatten() {
        let manifest = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": map["name"], "namespace": map["namespace"], "labels": map["labels"]},
            "data": map["data"],
        });
        text.push_str("\n---\n");
        text.push_str(&manifest.to_string());
    }
    let source = Source {
        path: "case.yaml".into(),
        text,
    };
    let (snapshot, _) = resources::build(
        &[source],
        &Options {
            serves: Serves::Models,
            ..Options::default()
        },
    );
    let view = View::new(Arc::new(snapshot), &HashMap::new(), HashMap::new());
    let settings = Settings {
        parsers: Some(Parsers::routing()),
        errors: ErrorStyle::Reference(ReferenceDialect::Gie),
        ..Settings::default()
    };
    let core = Core::new(view, settings, Arc::new(Frozen), Arc::new(Silent), 7);
    let options = RouterOptions {
        streaming: given["streaming"] == true,
        ..RouterOptions::default()
    };
    Router::new(
        Arc::new(core),
        options,
        plugins(given),
        Arc::new(SilentRouter),
    )
}

async fn play(case: &Value) -> Result<(), String> {
    let mut client = house::serve(router(&case["given"])).await;
    let mut stream = Stream::open(&mut client).await;
    stream.send(case["requests"].as_array().unwrap());
    let none = Vec::new();
    let want = case["expect"]["responses"].as_array().unwrap_or(&none);
    let got = stream.read(want.len()).await;
    compare::exact(&got, want)
}

#[tokio::test]
async fn the_reference_routers_cases() {
    let Some(document) = crate::cases("bbr_cases.json") else {
        return;
    };
    let differences = Differences::read();
    let (mut played, mut failed) = (0, Vec::new());
    for case in document["cases"].as_array().unwrap() {
        if case["kind"] != "ext_proc" {
            continue;
        }
        played += 1;
        let result = play(case).await;
        failed.extend(differences.judge(case["id"].as_str().unwrap(), &result));
    }
    eprintln!("{played} cases played, {} failed", failed.len());
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}
