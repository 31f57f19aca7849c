use super::*;

#[test]
fn every_row_parses_and_is_sane() {
    assert_eq!(PerfRow::names().count(), 11);
    for name in PerfRow::names() {
        let row = PerfRow::named(name).expect("listed");
        assert_eq!(row.linear_ms.len(), row.linear_ms_tokens.len(), "{name}");
        assert!(row.linear_ms_tokens.is_sorted(), "{name}");
        assert!(row.kv_capacity_tokens > 100_000, "{name}");
    }
}

/// Prefill of 8,192 tokens and decode of 1 at 1k, 64 at 2k, 256 at 1k, milliseconds, as the
/// calibration published them (rounded there, hence the tolerance of one per cent).
#[test]
fn published_times_come_out_of_the_formula() {
    let table = [
        (
            "h100_sxm/llama-3.1-8b/tp1/bfloat16",
            [187.0, 7.1, 11.3, 17.1],
        ),
        ("h100_sxm/llama-3.1-8b/tp1/fp8", [152.0, 5.6, 9.3, 15.3]),
        (
            "h100_sxm/llama-3.1-70b/tp4/bfloat16",
            [568.0, 15.8, 20.8, 29.4],
        ),
        (
            "h100_sxm/llama-3.1-70b/tp8/bfloat16",
            [353.0, 11.1, 14.3, 20.3],
        ),
        ("h100_sxm/llama-3.1-70b/tp4/fp8", [459.0, 12.1, 16.2, 26.0]),
        ("h100_sxm/qwen3-32b/tp2/bfloat16", [466.0, 14.3, 20.3, 28.2]),
        (
            "a100_sxm/llama-3.1-8b/tp1/bfloat16",
            [560.0, 12.7, 23.7, 43.9],
        ),
        (
            "a100_sxm/llama-3.1-70b/tp4/bfloat16",
            [1359.0, 28.2, 41.1, 73.6],
        ),
        (
            "a100_sxm/llama-3.1-70b/tp8/bfloat16",
            [839.0, 17.9, 25.0, 44.8],
        ),
        (
            "h200_sxm/llama-3.1-8b/tp1/bfloat16",
            [185.0, 5.8, 9.0, 13.9],
        ),
        (
            "h200_sxm/llama-3.1-70b/tp4/bfloat16",
            [565.0, 13.4, 16.7, 26.2],
        ),
    ];
    for (name, expected) in table {
        let row = PerfRow::named(name).expect("shipped");
        let mut prefill = StepWork::default();
        prefill.add_prefill(0, 8192);
        let got = [
            row.step_ms(&prefill),
            row.step_ms(&decodes(1, 1024)),
            row.step_ms(&decodes(64, 2048)),
            row.step_ms(&decodes(256, 1024)),
        ];
        for (got, expected) in got.into_iter().zip(expected) {
            assert!(
                (got - expected).abs() <= 0.01 * expected + 0.05,
                "{name}: {got} {expected}"
            );
        }
    }
}

#[test]
fn more_work_never_takes_less_time_above_the_table() {
    for name in PerfRow::names() {
        let row = PerfRow::named(name).expect("shipped");
        let mut last = 0.0;
        for tokens in (512..16_384).step_by(64) {
            let mut work = StepWork::default();
            work.add_prefill(0, tokens);
            let time = row.step_ms(&work);
            assert!(time >= last, "{name} at {tokens}");
            last = time;
        }
    }
}

fn decodes(count: u32, context: u32) -> StepWork {
    let mut work = StepWork::default();
    (0..count).for_each(|_| work.add_decode(context));
    work
}

#[test]
fn a_profile_file_is_read_and_its_faults_are_named() {
    let shipped = include_str!("../../data/step_times.json");
    let rows = PerfRow::read_profile(shipped).expect("the shipped file is one");
    assert_eq!(rows.len(), PerfRow::names().count());
    // The rows alone, without the head, are a profile as well.
    let whole: serde_json::Value = serde_json::from_str(shipped).expect("json");
    let alone = whole["rows"].to_string();
    assert_eq!(PerfRow::read_profile(&alone).expect("read"), rows);
    let spoilt = |key: &str, value: serde_json::Value| {
        let name = "h100_sxm/llama-3.1-8b/tp1/fp8";
        let mut row = whole["rows"][name].clone();
        row[key] = value;
        let text = serde_json::json!({ name: row }).to_string();
        PerfRow::read_profile(&text).expect_err(key).to_string()
    };
    for (key, value, told) in [
        ("linear_ms", serde_json::json!([]), "equally long"),
        ("host_ms", serde_json::json!(-1.0), "milliseconds from 0"),
        ("kv_capacity_tokens", serde_json::json!(0), "at least 1"),
        ("host_ms", serde_json::json!("x"), "not a profile"),
    ] {
        let message = spoilt(key, value);
        assert!(message.contains(told), "{message}");
    }
}
