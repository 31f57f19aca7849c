//! What reading costs. The budget: model and prompt spans of a 600 KB body in at most 0.3 ms.
//!
//! `cargo bench -p payload`

use bytes::Bytes;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use http::HeaderMap;
use payload::{Api, Body, Facts, Reader, StreamReader, prefix_seed, prompt_blocks};

const SIZE: usize = 600 * 1024;

/// The size of the chunks in which hyper hands out a large body.
const CHUNK: usize = 16 * 1024;

fn main() {
    divan::main();
}

/// The kinds of body that are measured.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// English prose in 20 messages, a line break for every 80 letters.
    Chat,
    /// One message without any escape.
    Plain,
    /// Source code: quotes and line breaks, an escape for every 20 letters.
    Code,
    /// Nothing but escaped quotes.
    Quotes,
    /// Nothing but `\u` escapes.
    Unicode,
    /// Messages of two words.
    SmallMessages,
    /// An image inline.
    Image,
    /// Token ids.
    TokenIds,
    /// The chat again, indented.
    Pretty,
}

const KINDS: [Kind; 9] = [
    Kind::Chat,
    Kind::Plain,
    Kind::Code,
    Kind::Quotes,
    Kind::Unicode,
    Kind::SmallMessages,
    Kind::Image,
    Kind::TokenIds,
    Kind::Pretty,
];

impl Kind {
    fn api(self) -> Api {
        match self {
            Kind::TokenIds => Api::Completions,
            _ => Api::ChatCompletions,
        }
    }

    fn body(self) -> Bytes {
        let fill = |text: &str, bytes: usize| text.repeat(bytes / text.len());
        let chat = |count: usize, text: &str| {
            let message = format!(r#"{{"role":"user","content":"{text}"}}"#);
            format!(
                r#"{{"messages":[{}],"model":"m","stream":true}}"#,
                vec![message; count].join(",")
            )
        };
        let prose =
            "It is a truth universally acknowledged, that a single man in possession of a go\\n";
        Bytes::from(match self {
            Kind::Chat => chat(20, &fill(prose, SIZE / 20)),
            Kind::Plain => chat(1, &fill("plain text without escapes ", SIZE)),
            Kind::Code => chat(
                20,
                &fill(
                    "let name = \\\"x\\\";\\n    return value + name;",
                    SIZE / 20,
                ),
            ),
            Kind::Quotes => chat(1, &fill("\\\"", SIZE)),
            Kind::Unicode => chat(1, &fill("\\u4f60", SIZE)),
            Kind::SmallMessages => chat(SIZE / 40, "hi you"),
            Kind::Image => {
                let image = fill("iVBORw0KGgoAAAANSUhEUg", SIZE);
                format!(
                    r#"{{"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}],"model":"m"}}"#
                )
            }
            Kind::TokenIds => {
                let ids: Vec<String> = (0..100_000)
                    .map(|id| (id * 7 % 100_000).to_string())
                    .collect();
                format!(r#"{{"prompt":[{}],"model":"m"}}"#, ids.join(","))
            }
            Kind::Pretty => {
                let message = format!(
                    "    {{\n      \"role\": \"user\",\n      \"content\": \"{}\"\n    }}",
                    fill(prose, SIZE / 20)
                );
                format!(
                    "{{\n  \"messages\": [\n{}\n  ],\n  \"model\": \"m\"\n}}",
                    vec![message; 20].join(",\n")
                )
            }
        })
    }
}

fn chunked(body: &Bytes) -> Body {
    Body::from(
        body.chunks(CHUNK)
            .map(Bytes::copy_from_slice)
            .collect::<Vec<_>>(),
    )
}

fn read(api: Api, body: &Body) -> Facts {
    let mut reader = Reader::new(api, &HeaderMap::new());
    for chunk in body.chunks() {
        let _ = reader.feed(chunk);
    }
    reader.finish().unwrap_or_default()
}

#[divan::bench(args = KINDS)]
fn read_600_kb(bencher: Bencher, kind: Kind) {
    let body = chunked(&kind.body());
    assert_eq!(read(kind.api(), &body).model.as_deref(), Some("m"));
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| read(kind.api(), black_box(&body)));
}

#[divan::bench]
fn read_1_kb(bencher: Bencher) {
    let text = "a short question ".repeat(50);
    let body = Bytes::from(format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"be brief"}},{{"role":"user","content":"{text}"}}],"temperature":0.7,"max_tokens":100,"stream":true,"stream_options":{{"include_usage":true}}}}"#
    ));
    let body = Body::from(body);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| read(Api::ChatCompletions, black_box(&body)));
}

#[divan::bench(args = [Kind::Chat, Kind::SmallMessages, Kind::Image, Kind::TokenIds])]
fn hash_600_kb(bencher: Bencher, kind: Kind) {
    let body = chunked(&kind.body());
    let facts = read(kind.api(), &body);
    let seed = prefix_seed("m", None);
    let mut blocks = Vec::new();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            blocks.clear();
            prompt_blocks(black_box(&body), &facts, seed, 64, &mut blocks);
            blocks.len()
        });
}

#[divan::bench(args = [64, 256, 1024])]
fn hash_600_kb_by_block_bytes(bencher: Bencher, block_bytes: usize) {
    let body = chunked(&Kind::Chat.body());
    let facts = read(Api::ChatCompletions, &body);
    let mut blocks = Vec::new();
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| {
            blocks.clear();
            prompt_blocks(black_box(&body), &facts, 1, block_bytes, &mut blocks);
            blocks.len()
        });
}

const EVENT: &str = concat!(
    "data: {\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"chat.completion.chunk\",",
    "\"created\":1755000000,\"model\":\"meta-llama/Llama-3.1-8B-Instruct\",\"choices\":[{\"index\":0,",
    "\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n",
);

fn stream(bencher: Bencher, per_chunk: usize, rename: bool) {
    let chunk = Bytes::from(EVENT.repeat(per_chunk));
    let rename = rename.then(|| payload::Rename {
        to: "another-model".into(),
    });
    let mut reader = StreamReader::new(Api::ChatCompletions, rename);
    bencher.counter(ItemsCount::new(per_chunk)).bench_local(|| {
        let mut bytes = 0;
        reader.push(chunk.clone(), &mut |piece| bytes += piece.len());
        bytes
    });
}

#[divan::bench(args = [1, 16])]
fn events(bencher: Bencher, per_chunk: usize) {
    stream(bencher, per_chunk, false);
}

#[divan::bench(args = [1, 16])]
fn events_renamed(bencher: Bencher, per_chunk: usize) {
    stream(bencher, per_chunk, true);
}

#[divan::bench]
fn event_cut_in_two(bencher: Bencher) {
    let (head, tail) = EVENT.split_at(100);
    let (head, tail) = (
        Bytes::from_static(head.as_bytes()),
        Bytes::from_static(tail.as_bytes()),
    );
    let mut reader = StreamReader::new(Api::ChatCompletions, None);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let mut bytes = 0;
        reader.push(head.clone(), &mut |piece| bytes += piece.len());
        reader.push(tail.clone(), &mut |piece| bytes += piece.len());
        bytes
    });
}
