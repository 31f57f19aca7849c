//! Limits as the definitions of Gateway API v1.5 and v1.6, of the Inference Extension v1.6 and of
//! llm-d state them; a test holds these tables against the definitions.

use super::Form::{
    Duration, ExactHostname, Group, HeaderName, Hostname, Kind, Label, LabelValue, Origin,
    Subdomain,
};
use super::Limit::{Entries, Items, Length, Looks, Range, UniqueBy};
use super::{Row, Section};

const PORT: super::Limit = Range(1, 65535);

/// Gateway.
pub(crate) const GATEWAY: &[Section] = &[Section {
    at: "spec",
    rows: &[
        ("gatewayClassName", &[Length(1, 253)]),
        ("listeners", &[Items(1, 64), UniqueBy("name")]),
        ("listeners[].name", &[Length(1, 253), Looks(Subdomain)]),
        ("listeners[].hostname", &[Length(1, 253), Looks(Hostname)]),
        ("listeners[].port", &[PORT]),
        ("listeners[].protocol", &[Length(1, 255)]),
        ("listeners[].tls.certificateRefs", &[Items(0, 64)]),
        (
            "listeners[].tls.certificateRefs[].group",
            &[Length(0, 253), Looks(Group)],
        ),
        (
            "listeners[].tls.certificateRefs[].kind",
            &[Length(1, 63), Looks(Kind)],
        ),
        ("listeners[].tls.certificateRefs[].name", &[Length(1, 253)]),
        (
            "listeners[].tls.certificateRefs[].namespace",
            &[Length(1, 63), Looks(Label)],
        ),
        ("listeners[].tls.options", &[Entries(0, 16)]),
        ("listeners[].tls.options{}", &[Length(0, 4096)]),
        ("listeners[].allowedRoutes.kinds", &[Items(0, 8)]),
        (
            "listeners[].allowedRoutes.kinds[].group",
            &[Length(0, 253), Looks(Group)],
        ),
        (
            "listeners[].allowedRoutes.kinds[].kind",
            &[Length(1, 63), Looks(Kind)],
        ),
    ],
}];

/// HTTPRoute.
pub(crate) const ROUTE: &[Section] = &[
    Section {
        at: "spec",
        rows: &[
            ("hostnames", &[Items(0, 16)]),
            ("hostnames[]", &[Length(1, 253), Looks(Hostname)]),
            ("parentRefs", &[Items(0, 32)]),
            ("parentRefs[].group", &[Length(0, 253), Looks(Group)]),
            ("parentRefs[].kind", &[Length(1, 63), Looks(Kind)]),
            ("parentRefs[].name", &[Length(1, 253)]),
            ("parentRefs[].namespace", &[Length(1, 63), Looks(Label)]),
            ("parentRefs[].port", &[PORT]),
            (
                "parentRefs[].sectionName",
                &[Length(1, 253), Looks(Subdomain)],
            ),
            ("rules", &[Items(1, 16), UniqueBy("name")]),
            ("rules[].name", &[Length(1, 253), Looks(Subdomain)]),
            ("rules[].matches", &[Items(0, 64)]),
            ("rules[].matches[].path.value", &[Length(0, 1024)]),
            (
                "rules[].matches[].headers",
                &[Items(0, 16), UniqueBy("name")],
            ),
            (
                "rules[].matches[].headers[].name",
                &[Length(1, 256), Looks(HeaderName)],
            ),
            ("rules[].matches[].headers[].value", &[Length(1, 4096)]),
            (
                "rules[].matches[].queryParams",
                &[Items(0, 16), UniqueBy("name")],
            ),
            (
                "rules[].matches[].queryParams[].name",
                &[Length(1, 256), Looks(HeaderName)],
            ),
            ("rules[].matches[].queryParams[].value", &[Length(1, 1024)]),
            ("rules[].filters", &[Items(0, 16)]),
            ("rules[].backendRefs", &[Items(0, 16)]),
            ("rules[].backendRefs[].weight", &[Range(0, 1_000_000)]),
            ("rules[].backendRefs[].filters", &[Items(0, 16)]),
            ("rules[].timeouts.request", &[Looks(Duration)]),
            ("rules[].timeouts.backendRequest", &[Looks(Duration)]),
            ("rules[].retry.codes[]", &[Range(400, 599)]),
            ("rules[].retry.attempts", &[Range(0, 1000)]),
            ("rules[].retry.backoff", &[Looks(Duration)]),
        ],
    },
    Section {
        at: "spec.rules[].backendRefs[]",
        rows: BACKEND_REF,
    },
    Section {
        at: "spec.rules[].filters[]",
        rows: FILTER,
    },
    Section {
        at: "spec.rules[].filters[].requestMirror.backendRef",
        rows: BACKEND_REF,
    },
    Section {
        at: "spec.rules[].backendRefs[].filters[]",
        rows: FILTER,
    },
    Section {
        at: "spec.rules[].backendRefs[].filters[].requestMirror.backendRef",
        rows: BACKEND_REF,
    },
];

const BACKEND_REF: &[Row] = &[
    ("group", &[Length(0, 253), Looks(Group)]),
    ("kind", &[Length(1, 63), Looks(Kind)]),
    ("name", &[Length(1, 253)]),
    ("namespace", &[Length(1, 63), Looks(Label)]),
    ("port", &[PORT]),
];

const FILTER: &[Row] = &[
    (
        "requestHeaderModifier.set",
        &[Items(0, 16), UniqueBy("name")],
    ),
    (
        "requestHeaderModifier.set[].name",
        &[Length(1, 256), Looks(HeaderName)],
    ),
    ("requestHeaderModifier.set[].value", &[Length(1, 4096)]),
    (
        "requestHeaderModifier.add",
        &[Items(0, 16), UniqueBy("name")],
    ),
    (
        "requestHeaderModifier.add[].name",
        &[Length(1, 256), Looks(HeaderName)],
    ),
    ("requestHeaderModifier.add[].value", &[Length(1, 4096)]),
    ("requestHeaderModifier.remove", &[Items(0, 16)]),
    ("requestHeaderModifier.remove[]", &[Looks(HeaderName)]),
    (
        "responseHeaderModifier.set",
        &[Items(0, 16), UniqueBy("name")],
    ),
    (
        "responseHeaderModifier.set[].name",
        &[Length(1, 256), Looks(HeaderName)],
    ),
    ("responseHeaderModifier.set[].value", &[Length(1, 4096)]),
    (
        "responseHeaderModifier.add",
        &[Items(0, 16), UniqueBy("name")],
    ),
    (
        "responseHeaderModifier.add[].name",
        &[Length(1, 256), Looks(HeaderName)],
    ),
    ("responseHeaderModifier.add[].value", &[Length(1, 4096)]),
    ("responseHeaderModifier.remove", &[Items(0, 16)]),
    ("responseHeaderModifier.remove[]", &[Looks(HeaderName)]),
    ("requestMirror.percent", &[Range(0, 100)]),
    ("requestMirror.fraction.numerator", &[Range(0, i64::MAX)]),
    ("requestMirror.fraction.denominator", &[Range(1, i64::MAX)]),
    (
        "requestRedirect.hostname",
        &[Length(1, 253), Looks(ExactHostname)],
    ),
    ("requestRedirect.port", &[PORT]),
    ("requestRedirect.path.replaceFullPath", &[Length(0, 1024)]),
    (
        "requestRedirect.path.replacePrefixMatch",
        &[Length(0, 1024)],
    ),
    (
        "urlRewrite.hostname",
        &[Length(1, 253), Looks(ExactHostname)],
    ),
    ("urlRewrite.path.replaceFullPath", &[Length(0, 1024)]),
    ("urlRewrite.path.replacePrefixMatch", &[Length(0, 1024)]),
    ("cors.allowOrigins", &[Items(0, 64)]),
    ("cors.allowOrigins[]", &[Length(1, 253), Looks(Origin)]),
    ("cors.allowMethods", &[Items(0, 9)]),
    ("cors.allowHeaders", &[Items(0, 64)]),
    ("cors.allowHeaders[]", &[Length(1, 256), Looks(HeaderName)]),
    ("cors.exposeHeaders", &[Items(0, 64)]),
    ("cors.exposeHeaders[]", &[Length(1, 256), Looks(HeaderName)]),
    ("cors.maxAge", &[Range(1, i64::MAX)]),
    ("extensionRef.group", &[Length(0, 253), Looks(Group)]),
    ("extensionRef.kind", &[Length(1, 63), Looks(Kind)]),
    ("extensionRef.name", &[Length(1, 253)]),
];

/// ReferenceGrant.
pub(crate) const GRANT: &[Section] = &[Section {
    at: "spec",
    rows: &[
        ("from", &[Items(1, 16)]),
        ("from[].group", &[Length(0, 253), Looks(Group)]),
        ("from[].kind", &[Length(1, 63), Looks(Kind)]),
        ("from[].namespace", &[Length(1, 63), Looks(Label)]),
        ("to", &[Items(1, 16)]),
        ("to[].group", &[Length(0, 253), Looks(Group)]),
        ("to[].kind", &[Length(1, 63), Looks(Kind)]),
        ("to[].name", &[Length(1, 253)]),
    ],
}];

/// InferencePool, v1 and the fields that only v1alpha2 has.
pub(crate) const POOL: &[Section] = &[Section {
    at: "spec",
    rows: &[
        ("selector.matchLabels", &[Entries(1, 64)]),
        (
            "selector.matchLabels{}",
            &[Length(0, 63), Looks(LabelValue)],
        ),
        ("targetPorts", &[Items(1, 8), UniqueBy("number")]),
        ("targetPorts[].number", &[PORT]),
        ("targetPortNumber", &[PORT]),
        ("endpointPickerRef.group", &[Length(0, 253), Looks(Group)]),
        ("endpointPickerRef.kind", &[Length(1, 63), Looks(Kind)]),
        ("endpointPickerRef.name", &[Length(1, 253)]),
        ("endpointPickerRef.port.number", &[PORT]),
        ("extensionRef.group", &[Length(0, 253), Looks(Group)]),
        ("extensionRef.kind", &[Length(1, 63), Looks(Kind)]),
        ("extensionRef.name", &[Length(1, 253)]),
        ("extensionRef.portNumber", &[PORT]),
    ],
}];

const POOL_REF: &[Row] = &[
    ("group", &[Length(0, 253), Looks(Group)]),
    ("kind", &[Length(1, 63), Looks(Kind)]),
    ("name", &[Length(1, 253)]),
];

/// InferenceObjective.
pub(crate) const OBJECTIVE: &[Section] = &[Section {
    at: "spec.poolRef",
    rows: POOL_REF,
}];

/// InferenceModelRewrite.
pub(crate) const REWRITE: &[Section] = &[
    Section {
        at: "spec.poolRef",
        rows: POOL_REF,
    },
    Section {
        at: "spec.rules[]",
        rows: &[
            ("matches[].model.value", &[Length(1, 1024)]),
            ("targets", &[Items(1, 1024)]),
            ("targets[].weight", &[Range(1, 1_000_000)]),
        ],
    },
];
