use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Outer {
    queue_depth: i64,
    share: f64,
    name: String,
    inner: Inner,
    list: Vec<Inner>,
    choice: Option<Choice>,
}

impl Default for Outer {
    fn default() -> Self {
        Self {
            queue_depth: 7,
            share: 0.5,
            name: "usual".to_owned(),
            inner: Inner::default(),
            list: Vec::new(),
            choice: None,
        }
    }
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Inner {
    max_value: Option<u32>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    OneThing,
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "callers make the value on the spot"
)]
fn read(value: Value) -> (Result<Outer, ParameterFault>, Vec<ParameterFault>) {
    let mut unknown = Vec::new();
    let result = decode(&value, &mut unknown);
    (result, unknown)
}

#[test]
fn names_in_any_case_and_nulls_as_absent() {
    let (outer, unknown) = read(json!({
        "QUEUEDEPTH": 3, "Share": 1, "name": null, "INNER": {"maxvalue": 4},
        "list": [{"MAXVALUE": null}, {"maxValue": 5}], "choice": "one-thing",
    }));
    let want = Outer {
        queue_depth: 3,
        share: 1.0,
        inner: Inner { max_value: Some(4) },
        list: vec![Inner::default(), Inner { max_value: Some(5) }],
        choice: Some(Choice::OneThing),
        ..Outer::default()
    };
    assert_eq!((outer, unknown), (Ok(want), Vec::new()));
    assert_eq!(read(Value::Null).0, Ok(Outer::default()));
    // The last spelling wins, and an exact one is a spelling like others.
    assert_eq!(
        read(json!({"queueDepth": 1, "queuedepth": 2}))
            .0
            .unwrap()
            .queue_depth,
        2
    );
}

#[test]
fn all_unknown_fields_are_told_with_their_paths() {
    let (outer, unknown) = read(json!({
        "colour": 1, "inner": {"hue": 2}, "list": [{}, {"tone": 3}],
    }));
    assert!(outer.is_ok());
    let mut paths: Vec<_> = unknown.iter().map(|fault| fault.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["colour", "inner.hue", "list[1].tone"]);
    assert!(
        unknown
            .iter()
            .any(|fault| fault.message == "unknown field `hue`, want one of maxValue")
    );
}

#[test]
fn a_wrong_type_is_told_with_its_path() {
    for (value, path) in [
        (json!({"list": [{}, {"maxValue": "x"}]}), "list[1].maxValue"),
        (json!({"inner": {"maxValue": -1}}), "inner.maxValue"),
        (json!({"queueDepth": 1.5}), "queueDepth"),
        (json!({"name": 3}), "name"),
        (json!({"inner": []}), "inner"),
        (json!({"choice": "another"}), "choice"),
        (json!([]), ""),
    ] {
        let fault = read(value.clone()).0.unwrap_err();
        assert_eq!(fault.path, path, "{value}: {fault}");
    }
}
