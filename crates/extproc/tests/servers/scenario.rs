//! Cases that are several steps on several streams.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lifecycle::ReferenceDialect;
use serde_json::{Value, json};

use crate::compare;
use crate::house::{self, Client, Given};
use crate::play::Stream;

/// One playing of a scenario.
struct Scenario {
    client: Client,
    streams: HashMap<String, Stream>,
    variables: HashMap<String, String>,
    fresh: u32,
}

/// The setup that stands for a stubbed one: one pod at 1.2.3.4:5678, and a rewrite to `v1`.
const STUB: &str = "apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: vllm-qwen3-32b-pool, namespace: default}
spec: {selector: {matchLabels: {app: stub}}, targetPorts: [{number: 5678}], endpointPickerRef: {name: epp, port: {number: 9002}}}
---
apiVersion: inference.networking.x-k8s.io/v1alpha2
kind: InferenceModelRewrite
metadata: {name: stub, namespace: default}
spec:
  poolRef: {name: vllm-qwen3-32b-pool}
  rules:
  - matches: [{model: {value: food-review}}]
    targets: [{modelRewrite: v1, weight: 1}]
";

pub async fn play(document: &Value, case: &Value, dialect: ReferenceDialect) -> Result<(), String> {
    let given = &case["given"];
    let stub = json!([{"name": "stub", "ip": "1.2.3.4", "ready": true, "port": 5678, "labels": {"app": "stub"}}]);
    let emulated = given.get("emulation").is_some();
    let pods = if emulated { &stub } else { &given["pods"] };
    let objects = given["objects"].as_str().unwrap_or_default();
    let config = given["config"].as_str().unwrap_or_default();
    let none = Vec::new();
    let given = Given {
        dialect,
        manifests: if emulated {
            Some(STUB)
        } else {
            document["fixtures"]["manifests"][objects]["yaml"].as_str()
        },
        pods: pods.as_array().unwrap_or(&none),
        config: document["fixtures"]["configs"][config]["yaml"]
            .as_str()
            .unwrap_or(
                "{apiVersion: inference.networking.x-k8s.io/v1alpha1, kind: EndpointPickerConfig, \
                 plugins: [{type: openai-parser}], parser: {pluginRef: openai-parser}}",
            ),
        flags: &given["flags"],
    };
    let mut scenario = Scenario {
        client: house::serve(house::picker(&given).0).await,
        streams: HashMap::new(),
        variables: HashMap::new(),
        fresh: 0,
    };
    for (index, step) in case["steps"].as_array().unwrap().iter().enumerate() {
        let times = step["repeat"].as_u64().unwrap_or(1);
        for _ in 0..times {
            scenario
                .step(step)
                .await
                .map_err(|error| format!("step {index}: {error}"))?;
        }
    }
    Ok(())
}

impl Scenario {
    async fn step(&mut self, step: &Value) -> Result<(), String> {
        if let Some(name) = step["open_stream"].as_str() {
            let stream = Stream::open(&mut self.client).await;
            self.streams.insert(name.to_owned(), stream);
            return Ok(());
        }
        for (key, want_empty) in [("assert_empty", true), ("assert_non_empty", false)] {
            if let Some(text) = step[key].as_str() {
                let value = self.substitute(text);
                if value.is_empty() != want_empty {
                    return Err(format!("{key} {text}: \"{value}\""));
                }
                return Ok(());
            }
        }
        if let Some(pair) = step["assert_equal"].as_array() {
            let values: Vec<String> = pair
                .iter()
                .map(|value| self.substitute(value.as_str().unwrap_or_default()))
                .collect();
            return if values.windows(2).all(|pair| pair[0] == pair[1]) {
                Ok(())
            } else {
                Err(format!("not equal: {values:?}"))
            };
        }
        if step.get("transaction").is_some() {
            return self.transaction(step).await;
        }
        self.on_stream(step).await
    }

    async fn transaction(&mut self, step: &Value) -> Result<(), String> {
        let mut stream = Stream::open(&mut self.client).await;
        stream.send(&self.messages(&step["send"]));
        let count = usize::try_from(step["read_count"].as_u64().unwrap_or(1)).unwrap();
        let answers = stream.read(count).await;
        for capture in step["captures"].as_array().into_iter().flatten() {
            let index = usize::try_from(capture["response_index"].as_u64().unwrap_or(0)).unwrap();
            let header = capture["set_header"].as_str().unwrap_or_default();
            let answer = answers
                .get(index)
                .ok_or(format!("answer {index} is missing"))?;
            let value = set_headers(answer)
                .into_iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(header))
                .map(|(_, value)| value)
                .unwrap_or_default();
            if capture["must_be_non_empty"] == true && value.is_empty() {
                return Err(format!("header {header} is empty in {answer}"));
            }
            let name = capture["var"].as_str().unwrap_or_default();
            self.variables.insert(name.to_owned(), value);
        }
        Ok(())
    }

    async fn on_stream(&mut self, step: &Value) -> Result<(), String> {
        let name = step["stream"].as_str().unwrap_or_default().to_owned();
        let messages = self.messages(&step["send"]);
        let stream = self
            .streams
            .get_mut(&name)
            .ok_or(format!("no stream {name}"))?;
        stream.send(&messages);
        if let Some(millis) = step["expect_no_message_for_ms"].as_u64()
            && stream.answers_within(Duration::from_millis(millis)).await
        {
            return Err("an answer came where none was expected".to_owned());
        }
        let Some(kind) = step["expect_kind"].as_str() else {
            return Ok(());
        };
        let answer = stream.next().await.ok_or("the stream ended")?;
        if answer.get(kind).is_none() {
            return Err(format!("got {answer}, want {kind}"));
        }
        if let Some(want) = step["set_headers_exactly"].as_object() {
            let got: HashMap<String, String> = set_headers(&answer).into_iter().collect();
            let want: HashMap<String, String> = want
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            if got != want {
                return Err(format!("headers {got:?}, want {want:?}"));
            }
        }
        if let Some(want) = step["body_equals"].as_str() {
            let got = body_of(&answer[kind]);
            if got != want {
                return Err(format!("body {got}, want {want}"));
            }
        }
        Ok(())
    }

    /// The messages of a step, variables put in.
    fn messages(&mut self, send: &Value) -> Vec<Value> {
        let Some(list) = send.as_array() else {
            return Vec::new();
        };
        list.iter()
            .map(|message| serde_json::from_str(&self.substitute(&message.to_string())).unwrap())
            .collect()
    }

    fn substitute(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        while text.contains("${unique}") {
            self.fresh += 1;
            text = text.replacen("${unique}", &format!("unique-{}", self.fresh), 1);
        }
        for (name, value) in &self.variables {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        text
    }
}

fn body_of(part: &Value) -> String {
    let mutation = &part["response"]["bodyMutation"];
    let body = mutation["streamedResponse"]["body"]
        .as_str()
        .or(mutation["body"].as_str())
        .unwrap_or_default();
    String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()
}

/// Every header an answer sets.
fn set_headers(answer: &Value) -> Vec<(String, String)> {
    let part = answer
        .as_object()
        .and_then(|fields| fields.values().find(|part| part.get("response").is_some()));
    let list = part.and_then(|part| part["response"]["headerMutation"]["setHeaders"].as_array());
    list.into_iter()
        .flatten()
        .map(|entry| {
            let header = &entry["header"];
            let raw = STANDARD
                .decode(header["rawValue"].as_str().unwrap_or_default())
                .unwrap();
            (
                header["key"].as_str().unwrap_or_default().to_owned(),
                String::from_utf8(raw).unwrap(),
            )
        })
        .collect()
}

/// A match that only looks at the immediate answer's status and at the beginning of its text.
pub fn relaxed(relaxed: &Value, got: &[Value]) -> Result<(), String> {
    if let Some(assertions) = relaxed["assertions"].as_array() {
        return compare::assertions(got, assertions);
    }
    let answer = got.first().ok_or("no answer")?;
    let immediate = answer
        .get("immediateResponse")
        .ok_or("no immediate answer")?;
    let text = STANDARD
        .decode(immediate["body"].as_str().unwrap_or_default())
        .unwrap();
    let text = String::from_utf8(text).unwrap();
    let prefix = ["body_prefix", "body_starts_with", "prefix"]
        .iter()
        .find_map(|key| relaxed[*key].as_str())
        .unwrap_or("inference error: ");
    if text.starts_with(prefix) {
        Ok(())
    } else {
        Err(text)
    }
}
