//! Request bodies: one structure that holds the fields of all APIs, and what they ask for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    failure::Failure,
    prompt::{self, Content, Message, Prompts},
};

/// Most sequences that one HTTP request may start (prompts times `n`).
const SEQUENCES_MAX: usize = 2048;
/// Completions without `max_tokens` end here, as OpenAI's do.
const COMPLETION_TOKENS: u32 = 16;

/// The APIs that run the engine, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Completions,
    Responses,
    Messages,
    CountTokens,
    Generate,
    Embeddings,
    Tokenize,
}

/// What a request asks for, whichever API it used.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// Each prompt's bytes.
    pub(super) prompts: Vec<Vec<u8>>,
    /// Answers to each prompt.
    pub(super) answers: u32,
    pub(super) limits: Limits,
    pub(super) salt: Option<String>,
    pub(super) base64: bool,
    pub(super) dimensions: Option<u32>,
    pub(super) request_id: Option<String>,
}

/// How long an answer may or must be, tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    pub(super) max: Option<u32>,
    pub(super) min: u32,
    /// Do not end before `max`.
    pub(super) ignore_eos: bool,
    /// No output at all: embeddings.
    pub(super) pooling: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    max_output_tokens: Option<i64>,
    min_tokens: Option<i64>,
    ignore_eos: Option<bool>,
    n: Option<i64>,
    #[serde(borrow)]
    cache_salt: Option<Cow<'a, str>>,
    #[serde(borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow, alias = "instructions")]
    system: Option<Content<'a>>,
    #[serde(borrow)]
    prompt: Option<Prompts<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    token_ids: Option<Vec<u32>>,
    sampling_params: Option<Sampling>,
    #[serde(borrow)]
    encoding_format: Option<Cow<'a, str>>,
    dimensions: Option<u32>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// The part of vLLM's sampling parameters that shapes the work.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Sampling {
    max_tokens: Option<i64>,
    min_tokens: Option<i64>,
    ignore_eos: Option<bool>,
    n: Option<i64>,
}

/// Reads a body.
///
/// # Errors
///
/// [`Failure`] with status 400 for whatever is wrong with it.
pub(super) fn read(api: Api, body: &[u8]) -> Result<Ask, Failure> {
    // serde would take an array for a structure.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Failure::bad("the body must be a JSON object"));
    }
    let mut fields: Fields<'_> =
        serde_json::from_slice(body).map_err(|error| Failure::json(&error))?;
    let prompts = prompts(api, &mut fields)?;
    let sampling = fields.sampling_params.unwrap_or_default();
    let answers = natural("n", sampling.n.or(fields.n))?.unwrap_or(1);
    if prompts.len().saturating_mul(answers as usize) > SEQUENCES_MAX {
        let message = format!("prompts times n must be at most {SEQUENCES_MAX}");
        return Err(Failure::field("n", message));
    }
    let pooling = api == Api::Embeddings;
    let limits = if pooling {
        Limits {
            pooling,
            ..Limits::default()
        }
    } else {
        limits(api, &fields)?
    };
    Ok(Ask {
        model: fields.model.map(Cow::into_owned),
        stream: fields.stream.unwrap_or(false),
        include_usage: fields
            .stream_options
            .and_then(|options| options.include_usage)
            == Some(true),
        prompts,
        answers,
        limits,
        salt: fields.cache_salt.map(Cow::into_owned),
        base64: fields.encoding_format.as_deref() == Some("base64"),
        dimensions: fields.dimensions,
        request_id: fields.request_id.map(Cow::into_owned),
    })
}

fn prompts(api: Api, fields: &mut Fields<'_>) -> Result<Vec<Vec<u8>>, Failure> {
    let prompts = match api {
        Api::Chat | Api::Messages | Api::CountTokens => vec![conversation(fields)?],
        Api::Completions => given("prompt", fields.prompt.take())?.render(),
        Api::Responses => vec![response_input(fields)?],
        Api::Generate => {
            vec![prompt::id_bytes(&given(
                "token_ids",
                fields.token_ids.take(),
            )?)]
        }
        Api::Embeddings => {
            let input = given("input", fields.input)?;
            parse::<Prompts<'_>>("input", input)?.render()
        }
        Api::Tokenize => match fields.prompt.take() {
            Some(prompts) => prompts.render(),
            None => vec![conversation(fields)?],
        },
    };
    if prompts.is_empty() {
        return Err(Failure::bad("at least one prompt is needed"));
    }
    Ok(prompts)
}

fn conversation(fields: &mut Fields<'_>) -> Result<Vec<u8>, Failure> {
    let messages = given("messages", fields.messages.take())?;
    if messages.is_empty() {
        return Err(Failure::field(
            "messages",
            "messages must hold at least one message",
        ));
    }
    Ok(prompt::chat(
        fields.tools,
        fields.system.as_ref(),
        &messages,
    ))
}

fn response_input(fields: &Fields<'_>) -> Result<Vec<u8>, Failure> {
    let input = given("input", fields.input)?;
    let messages: Vec<Message<'_>> = if input.get().starts_with('[') {
        parse("input", input)?
    } else {
        vec![Message::user(parse("input", input)?)]
    };
    Ok(prompt::chat(
        fields.tools,
        fields.system.as_ref(),
        &messages,
    ))
}

fn limits(api: Api, fields: &Fields<'_>) -> Result<Limits, Failure> {
    let sampling = fields.sampling_params.unwrap_or_default();
    let asked = fields
        .max_completion_tokens
        .or(fields.max_output_tokens)
        .or(fields.max_tokens)
        .or(sampling.max_tokens);
    let max = match (natural("max_tokens", asked)?, api) {
        (None, Api::Messages) => {
            return Err(Failure::field("max_tokens", "max_tokens: field required"));
        }
        (None, Api::Completions | Api::Generate) => Some(COMPLETION_TOKENS),
        (max, _) => max,
    };
    let min = sampling.min_tokens.or(fields.min_tokens).unwrap_or(0);
    let min = u32::try_from(min)
        .map_err(|_| Failure::field("min_tokens", format!("min_tokens is {min}")))?;
    let ignore_eos = sampling.ignore_eos.or(fields.ignore_eos) == Some(true);
    Ok(Limits {
        max,
        min,
        ignore_eos,
        pooling: false,
    })
}

fn given<T>(name: &'static str, value: Option<T>) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::field(name, format!("{name}: field required")))
}

fn natural(name: &'static str, value: Option<i64>) -> Result<Option<u32>, Failure> {
    let Some(value) = value else { return Ok(None) };
    match u32::try_from(value) {
        Ok(number) if number > 0 => Ok(Some(number)),
        _ => Err(Failure::field(
            name,
            format!("{name} must be at least 1, got {value}."),
        )),
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, raw: &'a RawValue) -> Result<T, Failure> {
    serde_json::from_str(raw.get()).map_err(|error| Failure {
        param: Some(name),
        ..Failure::json(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_each_api() {
        let table = [
            (Api::Chat, r#"{"messages":[{}]}"#, None),
            (Api::Chat, r#"{"messages":[{}],"max_tokens":5}"#, Some(5)),
            (
                Api::Chat,
                r#"{"messages":[{}],"max_tokens":5,"max_completion_tokens":7}"#,
                Some(7),
            ),
            (Api::Completions, r#"{"prompt":"a"}"#, Some(16)),
            (
                Api::Responses,
                r#"{"input":"a","max_output_tokens":9}"#,
                Some(9),
            ),
            (
                Api::Messages,
                r#"{"messages":[{}],"max_tokens":3}"#,
                Some(3),
            ),
            (
                Api::Generate,
                r#"{"token_ids":[1],"sampling_params":{"max_tokens":4}}"#,
                Some(4),
            ),
        ];
        for (api, body, max) in table {
            assert_eq!(
                read(api, body.as_bytes()).expect(body).limits.max,
                max,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_a_400_that_names_it() {
        let table = [
            (Api::Chat, "{}", Some("messages")),
            (Api::Chat, r#"{"messages":[]}"#, Some("messages")),
            (
                Api::Chat,
                r#"{"messages":[{}],"max_tokens":0}"#,
                Some("max_tokens"),
            ),
            (Api::Chat, r#"{"messages":[{}],"n":4000}"#, Some("n")),
            (Api::Chat, r#"{"messages":"#, None),
            (Api::Chat, "[]", None),
            (Api::Completions, "{}", Some("prompt")),
            (Api::Completions, r#"{"prompt":[]}"#, None),
            (Api::Messages, r#"{"messages":[{}]}"#, Some("max_tokens")),
            (Api::Embeddings, r#"{"input":{}}"#, Some("input")),
            (Api::Responses, r#"{"model":"m"}"#, Some("input")),
            (Api::Generate, r#"{"prompt":"a"}"#, Some("token_ids")),
        ];
        for (api, body, param) in table {
            let failure = read(api, body.as_bytes()).expect_err(body);
            assert_eq!(
                (failure.status.as_u16(), failure.param),
                (400, param),
                "{body}"
            );
        }
    }

    #[test]
    fn errors_do_not_repeat_what_the_client_wrote() {
        let failure = read(Api::Chat, br#"{"messages":"my secret"}"#).expect_err("wrong type");
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }

    #[test]
    fn responses_take_a_text_or_items() {
        let text = read(
            Api::Responses,
            br#"{"input":"hi","instructions":"be kind"}"#,
        )
        .expect("ok");
        let items = read(
            Api::Responses,
            br#"{"instructions":"be kind","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}]}"#,
        );
        assert_eq!(text.prompts, items.expect("ok").prompts);
    }
}
