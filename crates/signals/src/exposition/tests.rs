use std::path::Path;

use super::*;

const VLLM: &str = r#"# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 90.0
vllm:engine_sleep_state{engine="0",sleep_state="awake"} 1.0
vllm:engine_sleep_state{engine="0",sleep_state="discard_all"} 0.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 0.75
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0
vllm:cache_config_info{block_size="16",engine="0",num_gpu_blocks="1000",sliding_window="None"} 1.0
vllm:cache_config_info{block_size="16",engine="1",num_gpu_blocks="1000",sliding_window="None"} 1.0
vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 100.5
vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, fr",waiting_lora_adapters="law,"} 300.25
vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 200.0
"#;

fn names(list: &[&str]) -> Vec<std::sync::Arc<str>> {
    list.iter().map(|name| (*name).into()).collect()
}

fn page(text: &str) -> Scrape {
    read(None, text.as_bytes()).unwrap()
}

#[test]
fn vllm_with_two_engines() {
    let want = Scrape {
        engine: Engine::Vllm,
        waiting: Some(1),
        running: Some(7),
        kv_usage: Some(0.75),
        block_size: Some(16),
        blocks: Some(2000),
        sleeping: Some(false),
        lora: Some(LoraState {
            running: names(&["sql", "fr"]),
            waiting: names(&["law"]),
            max: 4,
        }),
        unreadable: 0,
    };
    assert_eq!(page(VLLM), want);
}

#[test]
fn legacy_vllm_names_give_way_to_current_ones() {
    let legacy = "vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.5\n";
    assert_eq!(page(legacy).kv_usage, Some(0.5));
    let both = format!("{legacy}vllm:kv_cache_usage_perc{{model_name=\"m\"}} 0.1\n");
    assert_eq!(page(&both).kv_usage, Some(0.1));
}

#[test]
fn a_sleeping_engine() {
    let asleep = "vllm:engine_sleep_state{sleep_state=\"awake\"} 0\n\
                  vllm:engine_sleep_state{sleep_state=\"weights_offloaded\"} 1\n";
    assert_eq!(page(asleep).sleeping, Some(true));
    assert_eq!(page("vllm:num_requests_running 1\n").sleeping, None);
}

#[test]
fn sglang_ranks() {
    // Two data-parallel ranks of two tensor-parallel ranks each: the latter see the same queue.
    let mut text = String::new();
    for (dp, tp, queue, usage) in [
        (0, 0, 5, 0.2),
        (0, 1, 5, 0.2),
        (1, 0, 2, 0.6),
        (1, 1, 3, 0.6),
    ] {
        let labels = format!("dp_rank=\"{dp}\",model_name=\"m\",pp_rank=\"0\",tp_rank=\"{tp}\"");
        text += &format!(
            "sglang:num_queue_reqs{{{labels}}} {queue}.0\nsglang:token_usage{{{labels}}} {usage}\n\
             sglang:cache_config_info{{{labels},num_pages=\"50\",page_size=\"64\"}} 1.0\n"
        );
    }
    let want = Scrape {
        engine: Engine::Sglang,
        waiting: Some(8),
        kv_usage: Some(0.6),
        block_size: Some(64),
        blocks: Some(100),
        ..Scrape::default()
    };
    assert_eq!(page(&text), want);
    assert_eq!(page(&text.replace("sglang:", "sglang_")), want);
}

#[test]
fn trtllm_serve() {
    let text = "trtllm_num_requests_running{model_name=\"m\"} 18.0\n\
                trtllm_num_requests_waiting{model_name=\"m\"} 3.0\n\
                trtllm_num_requests_completed_total{model_name=\"m\"} 960.0\n\
                trtllm_kv_cache_utilization{model_name=\"m\"} 0.375\n\
                trtllm_kv_cache_max_blocks{model_name=\"m\"} 24576.0\n\
                trtllm_kv_cache_tokens_per_block{model_name=\"m\"} 32.0\n";
    let want = Scrape {
        engine: Engine::TrtllmServe,
        waiting: Some(3),
        running: Some(18),
        kv_usage: Some(0.375),
        block_size: Some(32),
        blocks: Some(24576),
        ..Scrape::default()
    };
    assert_eq!(page(text), want);
}

#[test]
fn triton_with_and_without_the_trtllm_backend() {
    let plain = "nv_inference_exec_count{model=\"ensemble\",version=\"1\"} 720\n\
                 nv_inference_pending_request_count{model=\"ensemble\",version=\"1\"} 3\n\
                 nv_inference_pending_request_count{model=\"tensorrt_llm\",version=\"1\"} 2\n";
    let triton = Scrape {
        engine: Engine::Triton,
        waiting: Some(3),
        ..Scrape::default()
    };
    assert_eq!(page(plain), triton);
    let backend = "nv_trt_llm_request_metrics{model=\"t\",request_type=\"waiting\",version=\"1\"} 4\n\
                   nv_trt_llm_request_metrics{model=\"t\",request_type=\"scheduled\",version=\"1\"} 22\n\
                   nv_trt_llm_request_metrics{model=\"t\",request_type=\"max\",version=\"1\"} 256\n\
                   nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"fraction\",model=\"t\"} 0.4375\n\
                   nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"tokens_per\",model=\"t\"} 64\n\
                   nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"used\",model=\"t\"} 5376\n\
                   nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=\"max\",model=\"t\"} 12288\n";
    let want = Scrape {
        engine: Engine::TritonTrtllm,
        waiting: Some(4),
        running: Some(22),
        kv_usage: Some(0.4375),
        block_size: Some(64),
        blocks: Some(12288),
        ..Scrape::default()
    };
    assert_eq!(page(&format!("{plain}{backend}")), want);
}

#[test]
fn llama_cpp_server() {
    let text = "# TYPE llamacpp:kv_cache_usage_ratio gauge\n\
                llamacpp:kv_cache_usage_ratio 0.5\nllamacpp:requests_processing 2\n\
                llamacpp:requests_deferred 1\n";
    let want = Scrape {
        engine: Engine::LlamaCpp,
        waiting: Some(1),
        running: Some(2),
        kv_usage: Some(0.5),
        ..Scrape::default()
    };
    assert_eq!(page(text), want);
}

#[test]
fn a_hint_decides_only_between_engines_that_are_there() {
    let text = "nv_inference_pending_request_count{model=\"m\"} 3\nvllm:num_requests_waiting 9\n";
    let engine = |hint| read(hint, text.as_bytes()).unwrap().engine;
    assert_eq!(engine(None), Engine::Vllm);
    assert_eq!(engine(Some(Engine::Triton)), Engine::Triton);
    assert_eq!(engine(Some(Engine::Sglang)), Engine::Vllm);
    assert_eq!(engine(Some(Engine::Unknown)), Engine::Vllm);
    assert_eq!(
        read(None, b"go_goroutines 12\n"),
        Err(ExpositionError::UnknownEngine)
    );
    assert_eq!(read(None, b""), Err(ExpositionError::UnknownEngine));
}

#[test]
fn labels_in_their_odd_forms() {
    let odd = [
        r#"vllm:num_requests_waiting{model_name="a}b,c=\"d\\",engine="0"} 2"#,
        r#"vllm:num_requests_waiting{ model_name = "m" , engine="0", } 2 1786008599000"#,
        "vllm:num_requests_waiting{} 2",
        "vllm:num_requests_waiting\t2e0",
        "vllm:num_requests_waiting{engine=\"0\"}2",
    ];
    for line in odd {
        let scrape = page(line);
        assert_eq!((scrape.waiting, scrape.unreadable), (Some(2), 0), "{line}");
    }
    let names = page(r#"vllm:lora_requests_info{max_lora="1",running_lora_adapters="a\"b"} 1"#);
    assert_eq!(&*names.lora.unwrap().running[0], "a\"b");
}

#[test]
fn one_bad_sample_does_not_spoil_the_rest() {
    let bad = [
        "vllm:num_requests_waiting{engine=\"0\"",
        "vllm:num_requests_waiting{engine=\"0} 1",
        "vllm:num_requests_waiting{engine=\"0\\",
        "vllm:num_requests_waiting{engine} 1",
        "vllm:num_requests_waiting ",
        "vllm:num_requests_waiting many",
        "vllm:num_requests_waiting NaN",
        "vllm:num_requests_waiting -1",
        "vllm:num_requests_waiting +Inf",
        "vllm:num_requests_waiting \u{fffd}",
    ];
    for line in bad {
        let scrape = page(&format!("{line}\nvllm:num_requests_running 4\n"));
        assert_eq!(scrape.waiting, None, "{line}");
        assert_eq!(scrape.running, Some(4), "{line}");
        assert_eq!(scrape.unreadable, 1, "{line}");
    }
    assert_eq!(
        page("vllm:num_requests_waiting 1e12\n").waiting,
        Some(u32::MAX)
    );
    assert_eq!(page("vllm:kv_cache_usage_perc 1.5\n").kv_usage, Some(1.0));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config {
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn never_panics(text in "(vllm:(num_requests_waiting|lora_requests_info)[{}a\"\\\\=, .0-9]{0,30}\n?){0,4}") {
        let _ = read(None, text.as_bytes());
    }
}

/// The pages kept beside the project, when they are there.
#[test]
fn recorded_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/samples");
    let cases = [
        ("vllm.prom", Engine::Vllm, 4, 23, 0.418_367_36, 16 * 27_440),
        ("vllm_legacy.prom", Engine::Vllm, 2, 8, 0.2712, 16 * 27_440),
        ("sglang.prom", Engine::Sglang, 5, 31, 0.41, 16 * 18_136),
        (
            "sglang_underscore.prom",
            Engine::Sglang,
            5,
            31,
            0.41,
            16 * 18_136,
        ),
        (
            "trtllm.prom",
            Engine::TrtllmServe,
            3,
            18,
            0.375,
            32 * 24_576,
        ),
        (
            "triton.prom",
            Engine::TritonTrtllm,
            3,
            22,
            0.4375,
            64 * 12_288,
        ),
    ];
    for (file, engine, waiting, running, kv_usage, capacity) in cases {
        let Ok(text) = std::fs::read(folder.join(file)) else {
            println!("skipped: {file} is not beside the project");
            continue;
        };
        let scrape = read(None, &text).unwrap();
        assert_eq!(scrape.engine, engine, "{file}");
        assert_eq!(
            (scrape.waiting, scrape.running),
            (Some(waiting), Some(running)),
            "{file}"
        );
        assert_eq!(scrape.kv_usage, Some(kv_usage), "{file}");
        assert_eq!(
            scrape.block_size.unwrap() * scrape.blocks.unwrap(),
            capacity,
            "{file}"
        );
        assert_eq!(scrape.unreadable, 0, "{file}");
        if file == "vllm.prom" {
            let want = names(&["sql-lora", "support-fr", "legal-v2"]);
            assert_eq!(
                scrape.lora,
                Some(LoraState {
                    running: want,
                    waiting: vec![],
                    max: 4
                })
            );
            assert_eq!(scrape.sleeping, Some(false));
        }
    }
}
