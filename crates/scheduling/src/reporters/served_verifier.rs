//! `destination-endpoint-served-verifier`: tells clients which endpoint answered. For conformance
//! tests.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use signals::{Endpoint, Time};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{Flight, HeaderChange, HeaderChanges, ResponseHeaders, parameterless};

const HEADER: HeaderName = HeaderName::from_static("x-conformance-test-served-endpoint");

pub(super) const KIND: Kind =
    Kind::new::<ServedVerifier>("destination-endpoint-served-verifier", Roles::RESPONSE).lenient();

parameterless!(ServedVerifier);

impl PluginType for ServedVerifier {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance {
            answered: Some(Arc::new(self)),
            ..Instance::default()
        }
    }
}

impl ResponseHeaders for ServedVerifier {
    fn answered(&self, _: &Flight, served: &Endpoint, _: Time, out: &mut HeaderChanges) {
        let value = HeaderValue::from_str(&served.address().to_string()).ok();
        if value.is_some() {
            out.push(HeaderChange {
                name: HEADER,
                value,
            });
        }
    }
}
