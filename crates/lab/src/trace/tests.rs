use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Trace, LabError> {
    Trace::parse(text.as_bytes(), "t", MOONCAKE_BLOCK_TOKENS)
}

fn record(at_ms: u64, input: u32, output: u32, blocks: &[u64]) -> Record {
    Record {
        at: Duration::from_millis(at_ms),
        input_tokens: input,
        output_tokens: output,
        blocks: blocks.into(),
    }
}

#[test]
fn each_format_is_recognised_and_read() {
    let cases = [
        (
            "{\"timestamp\": 3000, \"input_length\": 700, \"output_length\": 9, \"hash_ids\": [0, 5]}\n\
             {\"timestamp\": 6000, \"input_length\": 1, \"output_length\": 2, \"hash_ids\": [0]}\n",
            Format::MooncakeJsonl,
            vec![record(0, 700, 9, &[0, 5]), record(3_000, 1, 2, &[0])],
        ),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n5,2000,9,0 14-16\n7,1024,1,3-4\n",
            Format::MooncakeCsv,
            vec![
                record(0, 2_000, 9, &[0, 14, 15, 16]),
                record(2, 1_024, 1, &[3, 4]),
            ],
        ),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-30 23:59:59.5000000,10,2\r\n\
             2023-12-01 00:00:01.2500000,20,0\r\n",
            Format::AzureCsv,
            vec![record(0, 10, 2, &[]), record(1_750, 20, 0, &[])],
        ),
        (
            "# clients=73\ntimestamp_s,input_tokens,output_tokens,reason_ratio\n0.5,3,4,0.8\n\n0.001,1,2,0\n",
            Format::ServegenCsv,
            vec![record(0, 1, 2, &[]), record(499, 3, 4, &[])],
        ),
    ];
    for (text, format, records) in cases {
        let trace = parse(text).unwrap();
        assert_eq!(trace.format, format);
        assert_eq!(trace.records, records, "{format:?}");
    }
}

#[test]
fn bad_lines_are_named_by_number_and_reason() {
    let cases = [
        ("", "t:1: the trace is empty"),
        ("a,b\n1,2\n", "t:1: unknown trace format"),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n",
            "t:2: the trace has a header and no",
        ),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n0,1,1,0\n1,x,1,0\n",
            "t:3: input_length: \"x\"",
        ),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n0,1,1,9-3\n",
            "t:2: hash_ids: \"9-3\"",
        ),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n0,1\n",
            "t:2: 2 columns where at least 4",
        ),
        (
            "{\"timestamp\": 1}\n",
            "t:1: not a Mooncake record (column 16): missing field `input_length`",
        ),
        (
            "{\"timestamp\": -5, \"input_length\": 1, \"output_length\": 1}\n",
            "t:1: timestamp: -0.005 s",
        ),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-01 00:00:00,1,1\n",
            "t:2: TIMESTAMP: \"2023-13-01",
        ),
        (
            "timestamp_s,input_tokens,output_tokens\n1,99999999,1\n",
            "t:2: input of 99999999 tokens",
        ),
        (
            "timestamp_ms,input_length,output_length,hash_ids\n0,64,1,0-3\n",
            "t:2: 4 block ids for 64 input tokens are too many for 512-token blocks",
        ),
    ];
    for (text, expected) in cases {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{text:?} gave {message:?}");
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_memory() {
    let endless = std::io::repeat(b'{');
    let message = Trace::parse(std::io::BufReader::new(endless), "t", 512)
        .unwrap_err()
        .to_string();
    assert!(message.contains("longer than"), "{message}");
}

#[test]
fn gzip_is_recognised_by_content() {
    let path = std::env::temp_dir().join(format!("plimsoll-trace-{}.csv", std::process::id()));
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(b"timestamp_s,input_tokens,output_tokens\n1,2,3\n")
        .unwrap();
    std::fs::write(&path, gz.finish().unwrap()).unwrap();
    let trace = Trace::load(&path, 512);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(trace.unwrap().records, vec![record(0, 2, 3, &[])]);
}

#[test]
fn spans_cover_the_prompt_exactly() {
    let trace = parse(
        "timestamp_ms,input_length,output_length,hash_ids\n0,1100,1,7-9\n1,600,1,7\n2,30,1,\n",
    )
    .unwrap();
    let span = |id, tokens| Span { id, tokens };
    assert_eq!(trace.spans(0), [span(7, 512), span(8, 512), span(9, 76)]);
    assert_eq!(trace.spans(1), [span(7, 512), span(1 << 63 | 1, 88)]);
    assert_eq!(trace.spans(2), [span(1 << 63 | 2, 30)]);
    assert_eq!(trace.spans(3), []);
}

#[test]
fn only_rounded_timestamps_are_spread() {
    let mut fine =
        parse("timestamp_ms,input_length,output_length,hash_ids\n0,1,1,0\n40,1,1,0\n").unwrap();
    let before = fine.records.clone();
    assert_eq!(fine.spread(1), None);
    assert_eq!(fine.records, before);

    let mut coarse = parse(
        "timestamp_ms,input_length,output_length,hash_ids\n0,1,1,0\n0,2,1,0\n0,3,1,0\n2999,4,1,0\n6001,5,1,0\n",
    )
    .unwrap();
    assert_eq!(coarse.spread(1), Some(Duration::from_secs(3)));
    let inputs: Vec<u32> = coarse.records.iter().map(|r| r.input_tokens).collect();
    assert_eq!(inputs, [1, 2, 3, 4, 5], "order within a burst is kept");
    assert!(coarse.records.is_sorted_by_key(|r| r.at));
    assert!(coarse.records[2].at < Duration::from_secs(3));
    assert!(coarse.records[0].at > Duration::ZERO);
}

#[test]
fn a_window_starts_at_zero_again() {
    let trace =
        parse("timestamp_s,input_tokens,output_tokens\n0,1,1\n5,2,1\n9,3,1\n12,4,1\n").unwrap();
    let window = trace.window(1, Some(2));
    assert_eq!(
        window.records,
        vec![record(0, 2, 1, &[]), record(4_000, 3, 1, &[])]
    );
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "[\\x00-\\x7f]{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("TIMESTAMP,ContextTokens,GeneratedTokens\n{text}"));
        let _ = parse(&format!("timestamp_ms,input_length,output_length,hash_ids\n{text}"));
    }

    #[test]
    fn spreading_keeps_every_request_in_its_burst(seed: u64, bursts in proptest::collection::vec(1usize..9, 2..20)) {
        let mut text = String::from("timestamp_ms,input_length,output_length,hash_ids\n");
        for (burst, count) in bursts.iter().enumerate() {
            for _ in 0..*count {
                text.push_str(&format!("{},1,1,0\n", burst * 3_000));
            }
        }
        text.push_str("60000,1,1,0\n");
        let before = parse(&text).unwrap();
        let mut after = before.clone();
        let step = after.spread(seed).unwrap();
        prop_assert!(after.records.is_sorted_by_key(|r| r.at));
        for (old, new) in before.records.iter().zip(&after.records) {
            prop_assert!(new.at >= old.at && new.at < old.at + step);
        }
    }
}

/// The published files themselves, when the machine has them: row counts and statistics are facts
/// of the traces.
#[test]
fn published_traces_load_whole() {
    let Some(dir) = std::env::var_os("PLIMSOLL_TRACES") else {
        println!("skipped: set PLIMSOLL_TRACES to a directory with the published traces");
        return;
    };
    let cases = [
        (
            "mooncake_fast25_conversation.jsonl.gz",
            12_031,
            12_035,
            Some(3),
        ),
        (
            "mooncake_fast25_conversation.csv.gz",
            12_031,
            12_035,
            Some(3),
        ),
        ("mooncake_fast25_synthetic.csv.gz", 3_993, 15_325, None),
        ("azure_llm_2023_code.csv.gz", 8_819, 2_048, None),
        ("azure_llm_2023_conv.csv.gz", 19_366, 1_155, None),
        ("servegen_deepseek-r1_20rps_20min.csv.gz", 23_989, 929, None),
        ("servegen_m-small_50rps_10min.csv.gz", 29_999, 400, None),
    ];
    for (file, count, input_mean, quantum) in cases {
        let trace = Trace::load(&Path::new(&dir).join(file), MOONCAKE_BLOCK_TOKENS).unwrap();
        assert_eq!(trace.records.len(), count, "{file}");
        let input: u64 = trace
            .records
            .iter()
            .map(|r| u64::from(r.input_tokens))
            .sum();
        let mean = (input as f64 / count as f64).round();
        assert_eq!(mean, f64::from(input_mean), "{file}");
        assert_eq!(trace.quantum(), quantum.map(Duration::from_secs), "{file}");
    }
}
