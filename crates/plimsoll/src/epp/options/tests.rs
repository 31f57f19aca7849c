use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: EppOptions,
}

fn parse(flags: &[&str]) -> Result<EppOptions, String> {
    let words = ["epp", "--endpoint", "http://127.0.0.1:8000"]
        .into_iter()
        .chain(flags.iter().copied())
        .map(std::ffi::OsString::from);
    // As a command of the binary, so that Go's spelling is understood.
    let all: Vec<_> = std::iter::once("plimsoll".into()).chain(words).collect();
    let all = crate::goflags::normalised(all).into_iter().skip(1);
    Line::try_parse_from(all)
        .map(|line| line.options)
        .map_err(|error| error.to_string())
}

/// What becomes of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Honoured,
    Accepted,
    Refused,
}

use Fate::{Accepted, Honoured, Refused};

/// Every flag of the Inference Extension's picker v1.5.0 and of llm-d's router.
const FLAGS: &[(&str, Fate)] = &[
    ("--grpc-port=9002", Honoured),
    ("--ha-enable-leader-election=true", Refused),
    ("--ha-enable-leader-election=false", Honoured),
    ("--pool-group=inference.networking.k8s.io", Honoured),
    ("--pool-namespace=default", Honoured),
    ("--pool-name=pool", Honoured),
    ("--disable-endpoint-subset-filter", Honoured),
    ("--model-server-metrics-scheme=http", Honoured),
    ("--model-server-metrics-scheme=https", Accepted),
    ("--model-server-metrics-path=/metrics", Honoured),
    ("--model-server-metrics-port=8002", Honoured),
    (
        "--model-server-metrics-https-insecure-skip-verify=false",
        Honoured,
    ),
    ("--refresh-metrics-interval=50ms", Honoured),
    ("--refresh-prometheus-metrics-interval=5s", Honoured),
    ("--metrics-staleness-threshold=2s", Honoured),
    ("--metrics-staleness-threshold=7s", Accepted),
    ("--total-queued-requests-metric=x", Refused),
    ("--total-running-requests-metric=x", Refused),
    ("--kv-cache-usage-percentage-metric=x", Refused),
    ("--lora-info-metric=x", Refused),
    ("--cache-info-metric=x", Refused),
    ("-v=4", Honoured),
    ("--v=4", Honoured),
    ("--zap-log-level=debug", Honoured),
    ("--zap-devel=false", Accepted),
    ("--zap-encoder=json", Accepted),
    ("--zap-stacktrace-level=error", Accepted),
    ("--zap-time-encoding=iso8601", Accepted),
    ("--tracing=false", Honoured),
    ("--tracing", Accepted),
    ("--health-checking", Honoured),
    ("--metrics-port=9090", Honoured),
    ("--grpc-health-port=9003", Honoured),
    ("--enable-pprof=false", Honoured),
    ("--enable-pprof=true", Accepted),
    ("--cert-path=/etc/tls", Honoured),
    ("--enable-cert-reload=true", Honoured),
    ("--secure-serving=false", Honoured),
    ("--metrics-endpoint-auth=false", Honoured),
    ("--metrics-endpoint-auth", Accepted),
    ("--config-file=x.yaml", Honoured),
    ("--config-text={}", Honoured),
    ("--drain-timeout=30s", Honoured),
    ("--grpc-max-recv-msg-size=4Mi", Honoured),
    ("--grpc-max-send-msg-size=16MiB", Honoured),
    ("--emit-endpoint-scores", Honoured),
    ("--enable-grpc-stream-metrics", Accepted),
    ("--tls-min-version=VersionTLS13", Honoured),
    (
        "--tls-cipher-suites=TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384",
        Honoured,
    ),
    ("--metrics-client-ca-file=ca.pem", Refused),
    ("--metrics-cert-dir=/etc/metrics", Refused),
    ("--allow-experimental-plugins", Honoured),
];

#[test]
fn every_flag_of_the_reference_pickers_has_its_fate() {
    for (flag, fate) in FLAGS {
        let options = parse(&[flag]).unwrap_or_else(|error| panic!("{flag}: {error}"));
        let found = match (options.refused(), options.deprecated().is_empty()) {
            (Some(_), _) => Refused,
            (None, false) => Accepted,
            (None, true) => Honoured,
        };
        assert_eq!(
            found,
            *fate,
            "{flag}: {:?} {:?}",
            options.refused(),
            options.deprecated()
        );
        let single = format!("-{}", flag.trim_start_matches('-'));
        assert!(parse(&[&single]).is_ok(), "{single}");
    }
}

#[test]
fn defaults_are_those_of_the_reference() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.ports.grpc_port, 9002);
    assert_eq!(options.ports.grpc_health_port, 9003);
    assert_eq!(options.ports.metrics_port, 9090);
    assert!(options.ports.secure_serving);
    assert_eq!(options.ports.drain_timeout.0, Duration::from_secs(30));
    assert_eq!(
        options.scraping.refresh_metrics_interval.0,
        Duration::from_millis(50)
    );
    assert_eq!(options.picking.fallbacks, 1);
}

#[test]
fn combinations_that_cannot_be_served_say_what_would_be_right() {
    for (flags, want) in [
        (
            &["--pool-name=a", "--endpoint-selector=app=x"][..],
            "either pool-name or endpoint-selector",
        ),
        (&["--endpoint-selector=app=x"], "--endpoint-target-ports"),
    ] {
        let refusal = parse(flags).unwrap().refused().unwrap_or_default();
        assert!(refusal.contains(want), "{refusal}");
    }
    let empty = Line::try_parse_from(["epp"]).unwrap().options.refused();
    assert!(
        empty
            .unwrap_or_default()
            .contains("--endpoint http://HOST:PORT")
    );
    assert!(
        parse(&["--no-such-flag"])
            .unwrap_err()
            .contains("--no-such-flag")
    );
    assert!(parse(&["--config-file=a", "--config-text=b"]).is_err());
}
