//! Whether answers are those a case expects.

use serde_json::Value;

/// Sorts every list of headers by key, as the cases ask.
fn sorted(mut value: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    walk(value);
                    if key == "setHeaders"
                        && let Value::Array(list) = value
                    {
                        list.sort_by_key(|entry| entry["header"]["key"].to_string());
                    }
                }
            }
            Value::Array(list) => list.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut value);
    value
}

/// Compares as whole messages.
pub fn exact(got: &[Value], want: &[Value]) -> Result<(), String> {
    for (index, want) in want.iter().enumerate() {
        let Some(got) = got.get(index) else {
            return Err(format!("answer {index} is missing; want {want}"));
        };
        let (got, want) = (sorted(got.clone()), sorted(want.clone()));
        if got != want {
            return Err(format!("answer {index}\n    got  {got}\n    want {want}"));
        }
    }
    Ok(())
}

/// Compares by JSON pointers. Entries in prose are left to [`custom`].
pub fn assertions(got: &[Value], assertions: &[Value]) -> Result<(), String> {
    let all = Value::Array(got.to_vec());
    for assertion in assertions {
        let Some(pointer) = assertion["pointer"].as_str() else {
            continue;
        };
        let Some(value) = all.pointer(pointer) else {
            return Err(format!("nothing at {pointer} of {all}"));
        };
        if let Some(want) = assertion.get("equals") {
            let same =
                value == want || (value.as_f64().is_some() && value.as_f64() == want.as_f64());
            if !same {
                return Err(format!("{pointer} is {value}, want {want}"));
            }
        }
        if assertion["non_empty"] == true && value.as_str().is_none_or(str::is_empty) {
            return Err(format!("{pointer} is empty"));
        }
        if let Some(count) = assertion["field_count"].as_u64()
            && value.as_object().map(|fields| fields.len() as u64) != Some(count)
        {
            return Err(format!("{pointer} is {value}, want {count} fields"));
        }
    }
    Ok(())
}
