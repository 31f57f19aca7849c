use std::sync::Arc;

use http::HeaderMap;
use signals::{Endpoint, EndpointIdentity, Time};

use super::*;
use crate::testing::rng;
use crate::{BuildOptions, Registry, RequestHeaders};

fn scheduler(text: &str) -> Scheduler {
    let text = format!("apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n{text}");
    let options = BuildOptions {
        allow_experimental: true,
        ..BuildOptions::default()
    };
    let (scheduler, problems) = Scheduler::read("", &text, &Registry::standard(), options, None);
    scheduler.unwrap_or_else(|| panic!("{problems:#?}"))
}

/// Endpoints with a role each.
fn fleet(roles: &[&str]) -> Vec<Arc<Endpoint>> {
    let endpoint = |(id, role): (usize, &&str)| {
        let label = ("llm-d.ai/role".to_owned(), (*role).to_owned());
        Arc::new(Endpoint::new(
            id as u32,
            EndpointIdentity {
                name: format!("default/pod-{id}").into(),
                address: ([10, 0, 0, id as u8], 8000).into(),
                host: "pod".into(),
                https: false,
                labels: Arc::new([label].into_iter().collect()),
                rank: 0,
            },
        ))
    };
    roles.iter().enumerate().map(endpoint).collect()
}

struct Bench {
    endpoints: Vec<Arc<Endpoint>>,
    index: PrefixIndex,
    scratch: Scratch,
}

impl Bench {
    fn new(roles: &[&str]) -> Self {
        Self {
            endpoints: fleet(roles),
            index: PrefixIndex::default(),
            scratch: Scratch::default(),
        }
    }

    fn run(
        &mut self,
        scheduler: &Scheduler,
        query: &Query<'_>,
    ) -> Result<Scheduled, ScheduleError> {
        let now = Time::from_secs_f64(10.0);
        let (endpoints, index) = (&self.endpoints, &self.index);
        scheduler.schedule(query, endpoints, index, &mut self.scratch, now, &mut rng(3))
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()))
        .collect()
}

fn told(changes: &HeaderChanges) -> Vec<String> {
    let text = |change: &crate::HeaderChange| match &change.value {
        Some(value) => format!("{}={}", change.name, value.to_str().unwrap()),
        None => format!("-{}", change.name),
    };
    changes.iter().map(text).collect()
}

const DISAGGREGATED: &str = "
plugins:
- {type: always-disagg-pd-decider}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
- {type: prefill-filter}
- {type: decode-filter}
- {type: queue-scorer}
- {type: session-affinity-filter, parameters: {profileName: prefill}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer}, {pluginRef: session-affinity-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]}
";

#[test]
fn prefill_and_decode_on_endpoints_of_their_own() {
    let scheduler = scheduler(DISAGGREGATED);
    let mut bench = Bench::new(&["prefill", "decode"]);
    let scheduled = bench.run(&scheduler, &Query::default()).unwrap();
    let decision = &scheduled.decision;
    assert_eq!(
        (&*decision.profile, decision.ranked[0].endpoint.id()),
        ("decode", 1)
    );
    let others: Vec<_> = decision
        .others
        .iter()
        .map(|other| (&*other.profile, other.ranked[0].endpoint.id()))
        .collect();
    assert_eq!(others, [("prefill", 0)]);
    assert_eq!(
        told(&scheduled.headers),
        [
            "-x-prefiller-host-port",
            "-x-encoder-hosts-ports",
            "x-prefiller-host-port=10.0.0.0:8000"
        ]
    );
    // The session's header names the endpoint of the profile it asks for.
    let answer = scheduler.answer_headers(&scheduled.flight, &bench.endpoints[1], Time::ZERO);
    assert_eq!(told(&answer), ["x-session-token=ZGVmYXVsdC9wb2QtMA=="]);
}

#[test]
fn without_a_prefill_endpoint_the_request_is_decoded_alone_and_without_a_decoder_refused() {
    let scheduler = scheduler(DISAGGREGATED);
    let scheduled = Bench::new(&["decode", "decode"])
        .run(&scheduler, &Query::default())
        .unwrap();
    assert!(scheduled.decision.others.is_empty());
    assert_eq!(told(&scheduled.headers).len(), 2);
    let refused = Bench::new(&["prefill"])
        .run(&scheduler, &Query::default())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "failed to find available decode workers"
    );
}

#[test]
fn ranks_behind_one_port_are_named_in_a_header() {
    let scheduler = scheduler(
        "plugins: [{type: data-parallel-profile-handler, parameters: {primaryPort: 9000}}]",
    );
    let scheduled = Bench::new(&["both"])
        .run(&scheduler, &Query::default())
        .unwrap();
    let choice = &scheduled.decision.ranked[0];
    assert_eq!(choice.address.to_string(), "10.0.0.0:9000");
    assert_eq!(choice.endpoint.address().port(), 8000);
    assert_eq!(
        told(&scheduled.headers),
        ["x-data-parallel-host-port=10.0.0.0:8000"]
    );
}

#[test]
fn a_request_that_wants_a_cached_prompt_or_nothing() {
    let scheduler = scheduler("plugins: [{type: prefix-cache-scorer}]");
    let mut bench = Bench::new(&["both", "both"]);
    let blocks = [1, 2, 3];
    for (value, refused) in [
        ("if-available", true),
        ("return=minimal,  If-Available ", true),
        ("if-available-but-different", false),
        ("", false),
    ] {
        let headers = headers(&[("prefer", value)]);
        let query = Query {
            blocks: &blocks,
            block_tokens: 64,
            prompt_tokens: 192,
            headers: RequestHeaders(Some(&headers)),
            ..Query::default()
        };
        let result = bench.run(&scheduler, &query);
        assert_eq!(
            result.err(),
            refused.then_some(ScheduleError::NotCached),
            "{value:?}"
        );
    }
    bench.index.store(1, 100, &blocks);
    let headers = headers(&[("prefer", "if-available")]);
    let query = Query {
        blocks: &blocks,
        block_tokens: 64,
        prompt_tokens: 192,
        headers: RequestHeaders(Some(&headers)),
        ..Query::default()
    };
    assert_eq!(
        bench.run(&scheduler, &query).unwrap().decision.ranked[0]
            .endpoint
            .id(),
        1
    );
}

#[test]
fn a_second_index_learns_beside_the_pools_own() {
    let scheduler = scheduler("
plugins:
- {name: cpu, type: approx-prefix-cache-producer, parameters: {autoTune: false, lruCapacityPerServer: 100}}
- {type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: cpu}}
");
    let mut bench = Bench::new(&["both"; 6]);
    let blocks: Vec<u64> = (1..=20).collect();
    let query = Query {
        blocks: &blocks,
        block_tokens: 64,
        prompt_tokens: 20 * 64,
        wants_scores: true,
        ..Query::default()
    };
    let first = bench.run(&scheduler, &query).unwrap().decision;
    assert_eq!(first.ranked[0].total, 0.0);
    assert_eq!((first.scores.len(), first.targets().len()), (6, 1));
    let second = bench.run(&scheduler, &query).unwrap().decision;
    assert_eq!(second.ranked[0].total, 1.0);
    assert_eq!(
        second.ranked[0].endpoint.id(),
        first.ranked[0].endpoint.id()
    );
    scheduler.forget(&second.ranked[0].endpoint);
    assert_eq!(
        bench.run(&scheduler, &query).unwrap().decision.ranked[0].total,
        0.0
    );
}

#[test]
fn admitters_and_reporters() {
    let scheduler = scheduler("
plugins:
- {type: probabilistic-admitter}
- type: request-attribute-reporter
  parameters:
    attributes:
    - {key: {name: cost}, expression: 'usage.completion_tokens * 2.0 + usage.prompt_tokens', condition: 'has(usage.completion_tokens)'}
");
    let mut bench = Bench::new(&["both"]);
    let sheddable = Query {
        priority: -1,
        ..Query::default()
    };
    let error = bench.run(&scheduler, &sheddable).unwrap_err();
    assert!(matches!(error, ScheduleError::Denied { .. }), "{error}");
    assert!(bench.run(&scheduler, &Query::default()).is_ok());
    let usage = TokenUsage {
        prompt_tokens: Some(5),
        completion_tokens: Some(10),
        ..TokenUsage::default()
    };
    let reports = scheduler.reports(&usage);
    let report = &reports[0];
    assert_eq!(
        (&*report.namespace, &*report.name, report.value),
        ("envoy.lb", "cost", 25)
    );
    assert!(scheduler.reports(&TokenUsage::default()).is_empty());
}

#[test]
fn one_profile_costs_what_it_costs_alone() {
    // The same draws give the same decision with and without the frame.
    let mut bench = Bench::new(&["both"; 9]);
    let framed = bench
        .run(&Scheduler::standard(), &Query::default())
        .unwrap();
    let now = Time::from_secs_f64(10.0);
    let alone = Profile::default_profile()
        .schedule(
            &Query::default(),
            &bench.endpoints,
            &bench.index,
            &mut bench.scratch,
            now,
            &mut rng(3),
        )
        .unwrap();
    let ids = |decision: &Decision| -> Vec<u32> {
        decision
            .ranked
            .iter()
            .map(|choice| choice.endpoint.id())
            .collect()
    };
    assert_eq!(ids(&framed.decision), ids(&alone));
    assert!(framed.headers.is_empty() && framed.flight.tickets.is_empty());
    assert_eq!(framed.decision.targets().len(), 8);
}
