use crate::decode::{Fault, decode};
use crate::tree::Node;
use gateway_api::apis::standard::httproutes::HttpRouteSpec;
use serde::Deserialize;

/// `spec` of an HTTPRoute. The bindings follow the standard channel; `retry` is in the experimental
/// one only, so it is decoded on its own.
#[derive(Clone, Debug)]
pub(crate) struct RouteSpec {
    pub(crate) spec: HttpRouteSpec,
    /// One for each rule.
    pub(crate) retries: Vec<Option<RetrySpec>>,
}

/// `retry` of a rule (GEP-1731).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RetrySpec {
    #[serde(default)]
    pub(crate) codes: Vec<u16>,
    pub(crate) attempts: Option<u32>,
    pub(crate) backoff: Option<String>,
}

/// Decodes `spec` of an HTTPRoute.
pub(super) fn decode_route(mut spec: Node, faults: &mut Vec<Fault>) -> Option<RouteSpec> {
    let retries = take_retries(&mut spec, faults);
    let spec: HttpRouteSpec = decode(&spec, "spec", faults)?;
    Some(RouteSpec { spec, retries })
}

fn take_retries(spec: &mut Node, faults: &mut Vec<Fault>) -> Vec<Option<RetrySpec>> {
    let Some(rules) = spec.get_mut("rules") else {
        return Vec::new();
    };
    let mut retries = Vec::new();
    for (index, rule) in rules.items_mut().iter_mut().enumerate() {
        let path = format!("spec.rules[{index}].retry");
        retries.push(
            rule.take("retry")
                .and_then(|retry| decode(&retry, &path, faults)),
        );
    }
    retries
}
