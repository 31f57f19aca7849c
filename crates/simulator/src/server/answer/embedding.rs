//! `/v1/embeddings`: vectors that depend on the text alone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Meta, Output, Usage};

/// Length of a vector when the request does not say.
const DIMENSIONS: u32 = 64;
/// Longest vector that a request may ask for.
const DIMENSIONS_MAX: u32 = 8192;

/// A vector of length one for each output's seed.
pub(in crate::server) fn embeddings(
    meta: &Meta,
    outputs: &[Output],
    usage: Usage,
    dimensions: Option<u32>,
    base64: bool,
) -> Value {
    let dimensions = dimensions.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS_MAX);
    let entry = |(index, output): (usize, &Output)| {
        let vector = vector(output.seed, dimensions);
        let embedding = if base64 {
            let bytes: Vec<u8> = vector
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            Value::from(STANDARD.encode(bytes))
        } else {
            Value::from(vector)
        };
        json!({"index": index, "object": "embedding", "embedding": embedding})
    };
    json!({
        "id": meta.id,
        "object": "list",
        "created": meta.created,
        "model": meta.model,
        "data": outputs.iter().enumerate().map(entry).collect::<Vec<_>>(),
        "usage": usage.openai(meta.details),
    })
}

fn vector(seed: u64, dimensions: u32) -> Vec<f32> {
    let draw = |at: u32| {
        let bits = xxh3_64_with_seed(&at.to_le_bytes(), seed) >> 40;
        bits as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let raw: Vec<f32> = (0..dimensions).map(draw).collect();
    let norm = raw
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    raw.into_iter().map(|value| value / norm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_one_and_depend_on_the_seed() {
        let norm: f32 = vector(3, 256).iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-4, "{norm}");
        assert_eq!(vector(3, 8), vector(3, 8));
        assert_ne!(vector(3, 8), vector(4, 8));
    }
}
