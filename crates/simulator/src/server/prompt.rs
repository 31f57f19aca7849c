//! From JSON to the bytes that are the prompt: the server's chat template.
//!
//! A message becomes `<|role|>`, its text and `<|end|>`, wherever the client puts spaces or
//! orders keys. An answer that returns as an assistant message stands at the same place as when it
//! was generated. The server reads bodies by itself, not with the gateway's reader: it is the other
//! side in tests, and a mistake that both shared would not show.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::text::TOKEN_BYTES;

/// Tokens that an image, a sound or a file counts for.
const MEDIA_TOKENS: usize = 576;

/// A conversation message of any of the APIs.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<&'a RawValue>,
}

/// A message's text: a string or a list of parts.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

/// A part of a message's content. The fields are those of all part types of all APIs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    thinking: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow, alias = "source", alias = "input_audio", alias = "file")]
    image_url: Option<&'a RawValue>,
}

/// What `prompt` or `input` may be: one or several texts, one or several lists of token ids.
#[derive(Debug)]
pub(super) enum Prompts<'a> {
    Text(Cow<'a, str>),
    Texts(Vec<Cow<'a, str>>),
    Ids(Vec<u32>),
    IdLists(Vec<Vec<u32>>),
}

/// The prompt of a chat: tools, system text, messages, and the head of the answer.
pub(super) fn chat(
    tools: Option<&RawValue>,
    system: Option<&Content<'_>>,
    messages: &[Message<'_>],
) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(tools) = tools {
        turn(&mut out, "tools", |out| {
            out.extend_from_slice(tools.get().as_bytes())
        });
    }
    if let Some(system) = system {
        turn(&mut out, "system", |out| system.render(out));
    }
    for message in messages {
        turn(&mut out, message.role.as_deref().unwrap_or("user"), |out| {
            if let Some(content) = &message.content {
                content.render(out);
            }
            if let Some(calls) = message.tool_calls {
                out.extend_from_slice(calls.get().as_bytes());
            }
        });
    }
    out.extend_from_slice(b"<|assistant|>");
    out
}

fn turn(out: &mut Vec<u8>, role: &str, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"<|");
    out.extend_from_slice(role.as_bytes());
    out.extend_from_slice(b"|>");
    content(out);
    out.extend_from_slice(b"<|end|>");
}

impl<'a> Message<'a> {
    /// A message by the user.
    pub(super) fn user(content: Content<'a>) -> Self {
        Self {
            role: None,
            content: Some(content),
            tool_calls: None,
        }
    }
}

impl Content<'_> {
    fn render(&self, out: &mut Vec<u8>) {
        match self {
            Content::Text(text) => out.extend_from_slice(text.as_bytes()),
            Content::Parts(parts) => parts.iter().for_each(|part| part.render(out)),
        }
    }
}

impl Part<'_> {
    fn render(&self, out: &mut Vec<u8>) {
        for text in [&self.text, &self.thinking].into_iter().flatten() {
            out.extend_from_slice(text.as_bytes());
        }
        if let Some(content) = &self.content {
            content.render(out);
        }
        if let Some(input) = self.input {
            out.extend_from_slice(input.get().as_bytes());
        }
        if let Some(media) = self.image_url {
            // As many tokens as an image has, the same ones for the same image.
            let digest = xxh3_64(media.get().as_bytes()).to_le_bytes();
            let length = MEDIA_TOKENS * TOKEN_BYTES;
            out.extend(digest.iter().cycle().take(length));
        }
    }
}

impl Prompts<'_> {
    /// Each prompt's bytes.
    pub(super) fn render(self) -> Vec<Vec<u8>> {
        match self {
            Prompts::Text(text) => vec![text.into_owned().into_bytes()],
            Prompts::Texts(texts) => texts
                .into_iter()
                .map(|text| text.into_owned().into_bytes())
                .collect(),
            Prompts::Ids(ids) => vec![id_bytes(&ids)],
            Prompts::IdLists(lists) => lists.iter().map(|ids| id_bytes(ids)).collect(),
        }
    }
}

/// Token ids as the bytes that they stand for.
pub(super) fn id_bytes(ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a list of content parts")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        while let Some(part) = parts.next_element()? {
            out.push(part);
        }
        Ok(Content::Parts(out))
    }

    /// An object where text belongs, as in some tool results: nothing to read.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::Parts(Vec::new()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Prompts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptsVisitor)
    }
}

struct PromptsVisitor;

/// One element of a list of prompts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Element<'a> {
    Id(u32),
    Text(#[serde(borrow)] Cow<'a, str>),
    Ids(Vec<u32>),
}

impl<'de> Visitor<'de> for PromptsVisitor {
    type Value = Prompts<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a list of strings, token ids or lists of token ids")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Prompts::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Prompts::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mixed = || serde::de::Error::custom("the list mixes texts and token ids");
        let mut out = match list.next_element()? {
            None => return Ok(Prompts::Texts(Vec::new())),
            Some(Element::Id(id)) => Prompts::Ids(vec![id]),
            Some(Element::Text(text)) => Prompts::Texts(vec![text]),
            Some(Element::Ids(ids)) => Prompts::IdLists(vec![ids]),
        };
        match &mut out {
            Prompts::Ids(ids) => {
                while let Some(id) = list.next_element()? {
                    ids.push(id);
                }
            }
            Prompts::Texts(texts) => {
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
            }
            Prompts::IdLists(lists) => {
                while let Some(ids) = list.next_element()? {
                    lists.push(ids);
                }
            }
            Prompts::Text(_) => return Err(mixed()),
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests;
