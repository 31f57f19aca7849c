//! What proxy and picker tell each other beside the HTTP exchange (Endpoint Picker Protocol, proposal 004).

use envoy_types::pb::envoy::config::core::v3::Metadata;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use lifecycle::Subset;

/// Header and metadata key of the chosen endpoints.
pub(crate) const DESTINATION: &str = "x-gateway-destination-endpoint";
const NAMESPACE: &str = "envoy.lb";
const SCORES: &str = "x-gateway-destination-endpoint-scores";
const SERVED: &str = "x-gateway-destination-endpoint-served";
const SUBSET_NAMESPACE: &str = "envoy.lb.subset_hint";
const SUBSET: &str = "x-gateway-destination-endpoint-subset";

fn entry<'m>(metadata: &'m Metadata, namespace: &str, key: &str) -> Option<&'m Kind> {
    metadata
        .filter_metadata
        .get(namespace)?
        .fields
        .get(key)?
        .kind
        .as_ref()
}

/// The endpoints the proxy allows: a list of addresses, or the same as comma-separated text. `None` where it allows all.
pub(crate) fn subset(metadata: &Metadata) -> Option<Subset> {
    match entry(metadata, SUBSET_NAMESPACE, SUBSET)? {
        Kind::ListValue(ListValue { values }) => Some(Subset::parse(
            values.iter().filter_map(|value| text(value.kind.as_ref()?)),
        )),
        Kind::StringValue(list) => Some(Subset::parse(list.split(','))),
        _ => None,
    }
}

/// Address of the endpoint that served the request, if the proxy tells.
pub(crate) fn served(metadata: &Metadata) -> Option<&str> {
    text(entry(metadata, NAMESPACE, SERVED)?)
}

fn text(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

/// Metadata that tells the destination, and the scores of all candidates where they are asked for.
pub(crate) fn destination(list: String, scores: Option<Vec<(String, f64)>>) -> Struct {
    let mut fields = vec![(DESTINATION.to_owned(), value(Kind::StringValue(list)))];
    if let Some(scores) = scores {
        let scores = scores
            .into_iter()
            .map(|(endpoint, score)| (endpoint, value(Kind::NumberValue(score))))
            .collect();
        fields.push((
            SCORES.to_owned(),
            value(Kind::StructValue(Struct { fields: scores })),
        ));
    }
    nested(NAMESPACE, fields)
}

/// One namespace with these entries.
pub(crate) fn nested(namespace: &str, fields: Vec<(String, Value)>) -> Struct {
    let inner = Struct {
        fields: fields.into_iter().collect(),
    };
    Struct {
        fields: [(namespace.to_owned(), value(Kind::StructValue(inner)))].into(),
    }
}

/// Adds what `more` has, namespace by namespace.
pub(crate) fn merge(all: &mut Struct, more: Struct) {
    for (namespace, value) in more.fields {
        match (
            all.fields
                .get_mut(&namespace)
                .and_then(|known| known.kind.as_mut()),
            value.kind,
        ) {
            (Some(Kind::StructValue(known)), Some(Kind::StructValue(new))) => {
                known.fields.extend(new.fields);
            }
            (_, kind) => drop(all.fields.insert(namespace, Value { kind })),
        }
    }
}

/// A value of this kind.
pub(crate) fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(kind: Kind) -> Metadata {
        let fields = [(SUBSET.to_owned(), value(kind))].into();
        Metadata {
            filter_metadata: [(SUBSET_NAMESPACE.to_owned(), Struct { fields })].into(),
            ..Metadata::default()
        }
    }

    fn list(entries: &[Kind]) -> Kind {
        let values = entries.iter().cloned().map(value).collect();
        Kind::ListValue(ListValue { values })
    }

    #[test]
    fn a_subset_is_a_list_or_text_and_anything_else_is_none() {
        let want = Subset::parse(["10.0.0.1:8000", "[fd00::1]:8000"]);
        let string = |text: &str| Kind::StringValue(text.to_owned());
        let pair = list(&[string("10.0.0.1:8000"), string("[fd00::1]:8000")]);
        assert_eq!(subset(&hint(pair)), Some(want.clone()));
        let text = string("10.0.0.1:8000, [fd00::1]:8000");
        assert_eq!(subset(&hint(text)), Some(want));
        let none = Some(Subset::default());
        assert_eq!(subset(&hint(list(&[]))), none);
        assert_eq!(subset(&hint(list(&[Kind::BoolValue(true)]))), none);
        assert_eq!(subset(&hint(string(""))), none);
        assert_eq!(subset(&hint(Kind::NumberValue(1.0))), None);
        assert_eq!(subset(&Metadata::default()), None);
    }
}
