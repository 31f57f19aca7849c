use std::collections::BTreeMap;

/// True if `labels` hold every pair of `wanted`.
pub(super) fn selects(
    wanted: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

/// One requirement of a label selector.
#[derive(Clone, Debug)]
pub(super) struct Requirement {
    pub(super) key: String,
    pub(super) operator: Operator,
}

/// What a requirement asks of the value.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Operator {
    /// Reads an operator with its values; `Err` says what is wrong.
    pub(super) fn parse(operator: &str, values: &[String]) -> Result<Self, String> {
        match (operator, values.is_empty()) {
            ("In", false) => Ok(Self::In(values.to_vec())),
            ("NotIn", false) => Ok(Self::NotIn(values.to_vec())),
            ("Exists", true) => Ok(Self::Exists),
            ("DoesNotExist", true) => Ok(Self::DoesNotExist),
            ("In" | "NotIn", true) => Err(format!("`{operator}` has no values, want at least one")),
            ("Exists" | "DoesNotExist", false) => {
                Err(format!("`{operator}` has values, want none"))
            }
            _ => Err(format!(
                "`{operator}` is not an operator, want In, NotIn, Exists or DoesNotExist"
            )),
        }
    }
}

impl Requirement {
    pub(super) fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
