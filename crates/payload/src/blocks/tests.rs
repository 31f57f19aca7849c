use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::{Api, Reader};

const BLOCK: usize = 64;

fn hash_in(api: Api, text: &str, chunk: usize, block: usize) -> Vec<u64> {
    let chunks = text.as_bytes().chunks(chunk).map(Bytes::copy_from_slice);
    let body = Body::from(chunks.collect::<Vec<_>>());
    let mut reader = Reader::new(api, &HeaderMap::new());
    body.chunks()
        .iter()
        .for_each(|chunk| reader.feed(chunk).unwrap());
    let facts = reader.finish().unwrap();
    let mut blocks = Vec::new();
    prompt_blocks(&body, &facts, 7, block, &mut blocks);
    blocks
}

fn hash(api: Api, text: &str) -> Vec<u64> {
    hash_in(api, text, text.len(), BLOCK)
}

fn chat(messages: &[String]) -> String {
    let messages: Vec<String> = messages
        .iter()
        .map(|text| format!(r#"{{"role":"user","content":"{text}"}}"#))
        .collect();
    format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","))
}

#[test]
fn seeds() {
    let seeds = [
        prefix_seed("a", None),
        prefix_seed("b", None),
        prefix_seed("a", Some("")),
        prefix_seed("a", Some("s")),
        prefix_seed("as", None),
        prefix_seed("", Some("a")),
        prefix_seed("", None),
    ];
    for (at, seed) in seeds.iter().enumerate() {
        assert!(!seeds[at + 1..].contains(seed), "{at}");
    }
}

#[test]
fn one_hash_for_each_block_and_one_for_the_rest() {
    for (bytes, blocks) in [(1, 1), (63, 1), (64, 1), (65, 2), (128, 2), (129, 3)] {
        let text = format!("{{\"prompt\":\"{}\"}}", "x".repeat(bytes));
        assert_eq!(hash(Api::Completions, &text).len(), blocks, "{bytes}");
    }
    assert!(hash(Api::Rerank, "{\"query\":\"x\"}").is_empty());
    assert_eq!(
        hash_in(Api::Completions, "{\"prompt\":\"xy\"}", 3, 0).len(),
        2
    );
}

#[test]
fn a_growing_conversation_keeps_its_prefix() {
    let turns: Vec<String> = (0..20).map(|turn| format!("{turn} ").repeat(40)).collect();
    let long = hash(Api::ChatCompletions, &chat(&turns));
    for count in 1..turns.len() {
        let short = hash(Api::ChatCompletions, &chat(&turns[..count]));
        let whole = short.len() - 1;
        assert_eq!(long[..whole], short[..whole]);
        assert_ne!(
            long[whole], short[whole],
            "the partial block is not a prefix"
        );
    }
}

#[test]
fn a_change_changes_all_that_follows() {
    let text = |at: usize| {
        let mut prompt = vec![b'x'; 640];
        prompt[at] = b'y';
        format!("{{\"prompt\":\"{}\"}}", String::from_utf8(prompt).unwrap())
    };
    let plain = hash(
        Api::Completions,
        &format!("{{\"prompt\":\"{}\"}}", "x".repeat(640)),
    );
    for at in 0..640 {
        let changed = hash(Api::Completions, &text(at));
        let same = plain
            .iter()
            .zip(&changed)
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(same, at / BLOCK);
        assert!(
            plain[same..]
                .iter()
                .zip(&changed[same..])
                .all(|(a, b)| a != b)
        );
    }
    // Equal blocks in another place do not have equal hashes.
    let mut sorted = plain.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), plain.len());
}

#[test]
fn token_ids_take_four_bytes_whatever_their_spelling() {
    let ids: Vec<u32> = (0..1000).map(|id| id * 37).collect();
    let compact = serde_json::json!({ "prompt": ids }).to_string();
    let pretty = format!("{:#}", serde_json::json!({ "prompt": ids }));
    let blocks = hash(Api::Completions, &compact);
    assert_eq!(blocks.len(), 1000_usize.div_ceil(BLOCK / 4));
    assert_eq!(hash(Api::Completions, &pretty), blocks);
    assert_eq!(hash_in(Api::Completions, &compact, 7, BLOCK), blocks);
    let generate = compact.replace("prompt", "token_ids");
    assert_eq!(hash(Api::VllmGenerate, &generate), blocks);
    let longer = hash(Api::Completions, &compact.replace(']', ",5]"));
    assert_eq!(longer[..62], blocks[..62]);
}

#[test]
fn media_count_alike_and_by_content() {
    let image = |data: &str| {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{data}"}}}}"#);
        format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#)
    };
    let small = hash(Api::ChatCompletions, &image("data:a"));
    let large = hash(
        Api::ChatCompletions,
        &image(&format!("data:{}", "b".repeat(100_000))),
    );
    assert_eq!(small.len(), large.len());
    assert_eq!(
        small.len(),
        (image("").len() - 15 + MEDIUM_BYTES).div_ceil(BLOCK)
    );
    assert_ne!(small[1], large[1]);
    let again = image(&format!("data:{}", "b".repeat(100_000)));
    assert_eq!(hash_in(Api::ChatCompletions, &again, 999, BLOCK), large);
}

#[test]
fn cache_markers_and_field_order_do_not_matter() {
    let plain = r#"{"tools":[{"name":"t"}],"system":"s","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}]}"#;
    let moved = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}],"system":"s","tools":[{"name":"t"}]}"#;
    assert_eq!(
        hash(Api::AnthropicMessages, plain),
        hash(Api::AnthropicMessages, moved)
    );
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        turns in prop::collection::vec("[a-z]{0,90}", 1..8),
        chunk in 1usize..100,
        block in 1usize..150,
    ) {
        let text = chat(&turns);
        let whole = hash_in(Api::ChatCompletions, &text, text.len(), block);
        prop_assert_eq!(hash_in(Api::ChatCompletions, &text, chunk, block), whole);
    }
}
