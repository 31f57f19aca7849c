//! Between protobuf's JSON form and messages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use envoy_types::pb::envoy::config::core::v3::{
    HeaderMap, HeaderValue, HeaderValueOption, Metadata,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    CommonResponse, HeaderMutation, HttpBody, HttpHeaders, HttpTrailers, ProcessingRequest,
    ProcessingResponse, body_mutation::Mutation,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value as PbValue};
use serde_json::{Map, Value, json};

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()
}

fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or(false)
}

fn header_map(value: &Value) -> Option<HeaderMap> {
    let list = value["headers"]["headers"].as_array()?;
    let headers = list
        .iter()
        .map(|entry| HeaderValue {
            key: entry["key"].as_str().unwrap_or_default().to_owned(),
            value: entry["value"].as_str().unwrap_or_default().to_owned(),
            raw_value: bytes(&entry["rawValue"]),
        })
        .collect();
    Some(HeaderMap { headers })
}

fn pb_value(value: &Value) -> PbValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(*flag),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(list) => Kind::ListValue(ListValue {
            values: list.iter().map(pb_value).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(pb_struct(fields)),
    };
    PbValue { kind: Some(kind) }
}

fn pb_struct(fields: &Map<String, Value>) -> Struct {
    Struct {
        fields: fields
            .iter()
            .map(|(key, value)| (key.clone(), pb_value(value)))
            .collect(),
    }
}

/// Reads a request message.
pub fn request(value: &Value) -> ProcessingRequest {
    let headers = |part: &Value| HttpHeaders {
        headers: header_map(part),
        end_of_stream: flag(part, "endOfStream"),
        ..HttpHeaders::default()
    };
    let body = |part: &Value| HttpBody {
        body: bytes(&part["body"]),
        end_of_stream: flag(part, "endOfStream"),
        ..HttpBody::default()
    };
    let known = [
        "requestHeaders",
        "requestBody",
        "requestTrailers",
        "responseHeaders",
        "responseBody",
        "responseTrailers",
    ];
    let kind = known.into_iter().find(|key| value.get(key).is_some());
    let part = kind.map(|key| &value[key]).unwrap_or(&Value::Null);
    let request = kind.map(|key| match key {
        "requestHeaders" => Request::RequestHeaders(headers(part)),
        "requestBody" => Request::RequestBody(body(part)),
        "requestTrailers" => Request::RequestTrailers(HttpTrailers::default()),
        "responseHeaders" => Request::ResponseHeaders(headers(part)),
        "responseBody" => Request::ResponseBody(body(part)),
        _ => Request::ResponseTrailers(HttpTrailers::default()),
    });
    let metadata_context = value.get("metadataContext").map(|context| Metadata {
        filter_metadata: context["filterMetadata"]
            .as_object()
            .map(|all| {
                all.iter()
                    .filter_map(|(name, fields)| {
                        Some((name.clone(), pb_struct(fields.as_object()?)))
                    })
                    .collect()
            })
            .unwrap_or_default(),
        ..Metadata::default()
    });
    ProcessingRequest {
        request,
        metadata_context,
        ..ProcessingRequest::default()
    }
}

fn put(fields: &mut Map<String, Value>, key: &str, value: Value) {
    let default = match &value {
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    if !default {
        fields.insert(key.to_owned(), value);
    }
}

fn mutation(mutation: &HeaderMutation) -> Value {
    let set: Vec<Value> = mutation.set_headers.iter().map(option).collect();
    let mut fields = Map::new();
    put(&mut fields, "setHeaders", set.into());
    put(
        &mut fields,
        "removeHeaders",
        mutation.remove_headers.clone().into(),
    );
    fields.into()
}

fn option(option: &HeaderValueOption) -> Value {
    let header = option.header.clone().unwrap_or_default();
    let mut fields = Map::new();
    put(&mut fields, "key", header.key.into());
    put(&mut fields, "value", header.value.into());
    put(
        &mut fields,
        "rawValue",
        STANDARD.encode(header.raw_value).into(),
    );
    json!({ "header": fields })
}

fn common(common: &CommonResponse) -> Value {
    let mut fields = Map::new();
    if let Some(headers) = &common.header_mutation {
        fields.insert("headerMutation".into(), mutation(headers));
    }
    let body = common
        .body_mutation
        .as_ref()
        .and_then(|body| body.mutation.as_ref());
    if let Some(body) = body {
        let value = match body {
            Mutation::Body(body) => json!({"body": STANDARD.encode(body)}),
            Mutation::ClearBody(clear) => json!({"clearBody": clear}),
            Mutation::StreamedResponse(piece) => {
                let mut fields = Map::new();
                put(&mut fields, "body", STANDARD.encode(&piece.body).into());
                put(&mut fields, "endOfStream", piece.end_of_stream.into());
                json!({ "streamedResponse": fields })
            }
        };
        fields.insert("bodyMutation".into(), value);
    }
    put(
        &mut fields,
        "clearRouteCache",
        common.clear_route_cache.into(),
    );
    fields.into()
}

fn plain(value: &PbValue) -> Value {
    match value.kind.as_ref() {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => json!(number),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::BoolValue(flag)) => json!(flag),
        Some(Kind::StructValue(fields)) => plain_struct(fields),
        Some(Kind::ListValue(list)) => list.values.iter().map(plain).collect(),
    }
}

fn plain_struct(fields: &Struct) -> Value {
    let fields: Map<String, Value> = fields
        .fields
        .iter()
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    fields.into()
}

fn status_name(code: i32) -> String {
    use envoy_types::pb::envoy::r#type::v3::StatusCode;
    StatusCode::try_from(code).map_or(code.to_string(), |status| status.as_str_name().to_owned())
}

/// Writes an answer.
pub fn response(message: &ProcessingResponse) -> Value {
    let mut fields = Map::new();
    let wrap = |response: Option<&CommonResponse>| match response {
        Some(response) => json!({ "response": common(response) }),
        None => json!({}),
    };
    let (key, value) = match message.response.as_ref() {
        Some(Response::RequestHeaders(reply)) => ("requestHeaders", wrap(reply.response.as_ref())),
        Some(Response::ResponseHeaders(reply)) => {
            ("responseHeaders", wrap(reply.response.as_ref()))
        }
        Some(Response::RequestBody(reply)) => ("requestBody", wrap(reply.response.as_ref())),
        Some(Response::ResponseBody(reply)) => ("responseBody", wrap(reply.response.as_ref())),
        Some(Response::RequestTrailers(_)) => ("requestTrailers", json!({})),
        Some(Response::ResponseTrailers(_)) => ("responseTrailers", json!({})),
        Some(Response::ImmediateResponse(reply)) => {
            let mut fields = Map::new();
            let code = reply.status.as_ref().map_or(0, |status| status.code);
            fields.insert("status".into(), json!({"code": status_name(code)}));
            put(&mut fields, "body", STANDARD.encode(&reply.body).into());
            if let Some(headers) = &reply.headers {
                fields.insert("headers".into(), mutation(headers));
            }
            ("immediateResponse", fields.into())
        }
        other => panic!("unexpected answer {other:?}"),
    };
    fields.insert(key.to_owned(), value);
    if let Some(metadata) = &message.dynamic_metadata {
        fields.insert("dynamicMetadata".into(), plain_struct(metadata));
    }
    if message.mode_override.is_some() {
        fields.insert("modeOverride".into(), json!({}));
    }
    fields.into()
}
