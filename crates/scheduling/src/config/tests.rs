use resources::Severity;

use super::*;

mod reference;

const HEAD: &str = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n";

fn read(text: &str, options: BuildOptions) -> (Option<Scheduler>, Vec<String>) {
    let text = format!("{HEAD}{text}");
    let (scheduler, problems) =
        Scheduler::read("p.yaml", &text, &Registry::standard(), options, None);
    let told = problems.iter().map(|problem| {
        let mark = if problem.severity == Severity::Error {
            "E"
        } else {
            "W"
        };
        format!("{mark} {problem}")
    });
    (scheduler, told.collect())
}

fn ok(text: &str) -> Scheduler {
    let options = BuildOptions {
        allow_experimental: true,
        ..BuildOptions::default()
    };
    let (scheduler, problems) = read(text, options);
    scheduler.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    let (scheduler, problems) = read(text, BuildOptions::default());
    assert!(scheduler.is_none(), "{text}");
    problems
        .into_iter()
        .filter(|problem| problem.starts_with('E'))
        .collect()
}

fn names(scheduler: &Scheduler) -> Vec<&str> {
    scheduler
        .effective()
        .plugins()
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn nothing_configured_gives_what_the_reference_uses() {
    let options = BuildOptions::default();
    let (scheduler, problems) = Scheduler::read("", "\n", &Registry::standard(), options, None);
    assert!(problems.is_empty(), "{problems:?}");
    let scheduler = scheduler.unwrap();
    let weights: Vec<_> = scheduler.profiles()[0]
        .weights()
        .map(|(name, weight)| (&**name, weight))
        .collect();
    let want = [
        ("queue-scorer", 2.0),
        ("kv-cache-utilization-scorer", 2.0),
        ("prefix-cache-scorer", 3.0),
    ];
    assert_eq!(weights, want);
    let added: Vec<_> = scheduler.effective().added().collect();
    assert_eq!(
        added,
        [
            "single-profile-handler",
            "max-score-picker",
            "fcfs-ordering-policy",
            "global-strict-fairness-policy",
            "static-usage-limit-policy",
            "openai-parser",
            "anthropic-parser",
            "vllmhttp-parser",
            "passthrough-parser",
            "utilization-detector",
            "approx-prefix-cache-producer",
            "token-producer",
        ]
    );
    assert_eq!(
        scheduler.effective().parsers(),
        [
            "openai-parser",
            "anthropic-parser",
            "vllmhttp-parser",
            "passthrough-parser"
        ]
    );
    assert_eq!(scheduler.effective().sources().len(), 1);
}

#[test]
fn the_effective_configuration_is_a_configuration_again() {
    let first = ok("plugins: [{type: queue-scorer}, {type: session-affinity-filter}]");
    let yaml = first.effective().config().unwrap().to_yaml();
    let options = BuildOptions {
        allow_experimental: true,
        ..BuildOptions::default()
    };
    let (second, problems) = Scheduler::read("again", &yaml, &Registry::standard(), options, None);
    let second = second.unwrap_or_else(|| panic!("{problems:#?}\n{yaml}"));
    assert_eq!(second.effective().config().unwrap().to_yaml(), yaml);
}

#[test]
fn without_profiles_all_filters_scorers_and_pickers_are_in_one() {
    let scheduler = ok(
        "plugins: [{type: decode-filter}, {type: concurrency-detector}, {type: queue-scorer}, {type: random-picker}, {type: always-disagg-pd-decider}]",
    );
    let profile = &scheduler.profiles()[0];
    let filters: Vec<_> = profile.filter_names().iter().map(|name| &**name).collect();
    assert_eq!(filters, ["health-filter", "decode-filter"]);
    assert_eq!(profile.weights().count(), 1);
    assert!(!names(&scheduler).contains(&"max-score-picker"));
}

#[test]
fn every_problem_is_told_with_its_place() {
    let all = errors(
        "plugins:
- {name: a, type: queue-scorer}
- {name: a, type: queue-scorer}
- {name: b}
- {type: quene-scorer}
- {type: utilization-detector, parameters: {queueDepthThreshold: 0, headroom: -1}}
schedulingProfiles:
- plugins: [{pluginRef: nobody}, {}]
- {name: x}
- {name: x}
featureGates: [nonsense]
colour: red
",
    );
    let text = all.join("\n");
    for want in [
        "p.yaml:5: plugins[1].name: duplicate plugin name 'a'",
        "p.yaml:6: plugins[2]: plugin 'b' is missing a type",
        "p.yaml:7: plugins[3].type: plugin type 'quene-scorer' is not registered; similar types are queue-scorer",
        "plugins[4].parameters.queueDepthThreshold: failed to create plugin 'utilization-detector' (type: utilization-detector): queueDepthThreshold must be > 0, got 0",
        "headroom must be >= 0, got -1",
        "schedulingProfiles[0] is missing a name",
        "schedulingProfiles[0].plugins[0] references undefined plugin 'nobody'",
        "schedulingProfiles[0].plugins[1] is missing a 'pluginRef'",
        "schedulingProfiles[2] has duplicate name 'x'",
        "feature gate 'nonsense' is unknown or unregistered",
        "unknown field `colour`, want one of apiVersion, kind",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "it is a table")]
fn references_lead_to_plugins_of_the_right_kind() {
    for (text, want) in [
        (
            "plugins: [{type: queue-scorer}]\nsaturationDetector: {pluginRef: queue-scorer}",
            "is not a fwkfc.SaturationDetector",
        ),
        (
            "saturationDetector: {pluginRef: nobody}",
            "saturation detector references undefined plugin 'nobody'",
        ),
        (
            "plugins: [{type: queue-scorer}]\nparser: {pluginRef: queue-scorer}",
            "is not a parser plugin",
        ),
        (
            "requestHandler: {parsers: [{pluginRef: nobody}]}",
            "parser references undefined plugin 'nobody'",
        ),
        (
            "plugins: [{type: queue-scorer}]\ndataLayer: {sources: [{pluginRef: queue-scorer}]}",
            "is not a fwkdl.DataSource",
        ),
        (
            "dataLayer: {sources: [{pluginRef: nobody}]}",
            "source references undefined plugin 'nobody'",
        ),
        (
            "plugins: [{type: models-data-source}]\ndataLayer: {sources: [{pluginRef: models-data-source, extractors: [{pluginRef: nobody}]}]}",
            "extractor 'nobody' is not registered",
        ),
        (
            "plugins: [{type: models-data-source}, {type: models-data-extractor}]\ndataLayer: {sources: [{pluginRef: models-data-source, extractors: [{pluginRef: models-data-extractor}, {pluginRef: models-data-extractor}]}]}",
            "bound twice",
        ),
        (
            "featureGates: [flowControl]\nflowControl: {priorityBands: [{priority: 1, orderingPolicyRef: nobody}]}",
            "plugin \"nobody\" not found",
        ),
        (
            "plugins: [{type: queue-scorer}]\nfeatureGates: [flowControl]\nflowControl: {priorityBands: [{priority: 1, orderingPolicyRef: queue-scorer}]}",
            "does not implement OrderingPolicy",
        ),
        (
            "plugins: [{type: single-profile-handler}, {name: two, type: single-profile-handler}]",
            "multiple profile handlers found",
        ),
        (
            "plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a}, {name: b}]",
            "no profile handler configured",
        ),
        (
            "plugins: [{type: single-profile-handler}]\nschedulingProfiles: [{name: a}, {name: b}]",
            "SingleProfileHandler cannot support multiple scheduling profiles",
        ),
        (
            "plugins: [{type: random-picker}, {type: max-score-picker}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: random-picker}, {pluginRef: max-score-picker}]}]",
            "already have a registered picker plugin",
        ),
        (
            "plugins: [{type: disagg-profile-handler, parameters: {deciders: {prefill: nobody}}}]\nschedulingProfiles: [{name: decode}]",
            "'nobody' is not the name of a decider",
        ),
        (
            "plugins: [{type: token-load-scorer}]",
            "no default producer found for missing data key UncachedRequestTokensDataKey/inflight-load-producer",
        ),
        (
            "plugins: [{type: queue-scorer}]\ndataLayer: {injectDefaults: false}",
            "no default producer found for missing data key",
        ),
        (
            "plugins: [{type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: mine}}]",
            "add a plugin named mine",
        ),
        (
            "plugins: [{type: session-affinity-filter}]",
            "has Alpha stability level",
        ),
        (
            "plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: queue-scorer, weight: 1e300}]}]",
            "want a finite number",
        ),
    ] {
        let told = errors(text);
        assert!(
            told.iter().any(|problem| problem.contains(want)),
            "{text}: no {want:?} in {told:#?}"
        );
    }
}

#[test]
fn data_producers_are_added_under_their_types() {
    let scheduler = ok(
        "plugins: [{type: prefix-cache-affinity-filter, parameters: {ttftSource: latencyPredictor}}]",
    );
    let added: Vec<_> = scheduler.effective().added().collect();
    for want in [
        "approx-prefix-cache-producer",
        "predicted-latency-producer",
        "inflight-load-producer",
        "token-producer",
    ] {
        assert!(added.contains(&want), "{want} in {added:?}");
    }
    let scheduler = ok("plugins: [{type: token-load-scorer}, {type: inflight-load-producer}]");
    assert!(
        scheduler
            .effective()
            .added()
            .any(|name| name == "token-producer")
    );
}

#[test]
fn the_older_dialect_is_lenient_and_hands_parameters_on() {
    let text = "apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: prefix-cache-scorer, parameters: {autoTune: false, lruCapacityPerServer: 640, blockSizeTokens: 16, maxPrefixBlocksToMatch: 256, hue: 1}}
featureGates: [enableLegacyMetrics, dataLayer]
saturationDetector: {pluginRef: utilization-detector}
";
    let options = BuildOptions::default();
    let (scheduler, problems) =
        Scheduler::read("g.yaml", text, &Registry::standard(), options, None);
    let scheduler = scheduler.unwrap_or_else(|| panic!("{problems:#?}"));
    assert!(scheduler.effective().gates().enable_legacy_metrics);
    let setting = scheduler
        .effective()
        .setting("approx-prefix-cache-producer");
    let Some(crate::settings::Setting::ApproximatePrefix(producer)) = setting else {
        panic!("{setting:?}");
    };
    assert_eq!(producer.blocks_max(64), Some(64));
    assert_eq!(producer.lru_capacity_per_server, 640);
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|problem| problem.contains("unknown field `hue`")),
        "{told:#?}"
    );
    assert!(
        told.iter()
            .any(|problem| problem.contains("is deprecated; write llm-d.ai/v1alpha1"))
    );
    // The same in the newer dialect is an error.
    assert!(
        errors("plugins: [{type: prefix-cache-scorer, parameters: {lruCapacityPerServer: 31250}}]")
            [0]
        .contains("unknown field")
    );
}

#[test]
fn plugins_that_stay_the_same_go_on() {
    let text = |weight: u32| {
        format!("{HEAD}plugins: [{{type: no-hit-lru-scorer}}, {{name: mine, type: approx-prefix-cache-producer}}, {{type: prefix-cache-scorer, parameters: {{prefixMatchInfoProducerName: mine}}}}]
schedulingProfiles: [{{name: default, plugins: [{{pluginRef: no-hit-lru-scorer, weight: {weight}}}, {{pluginRef: prefix-cache-scorer}}]}}]")
    };
    let registry = Registry::standard();
    let options = BuildOptions::default();
    let (first, _) = Scheduler::read("", &text(1), &registry, options, None);
    let first = first.unwrap();
    let (second, _) = Scheduler::read("", &text(2), &registry, options, Some(&first));
    let second = second.unwrap();
    let scorer =
        |scheduler: &Scheduler| std::sync::Arc::clone(&scheduler.profiles()[0].scorers[0].plugin);
    assert!(std::sync::Arc::ptr_eq(&scorer(&first), &scorer(&second)));
    assert!(std::sync::Arc::ptr_eq(
        &first.layout.beside[0].index,
        &second.layout.beside[0].index
    ));
    assert_eq!(second.profiles()[0].weights().next().unwrap().1, 2.0);
    let (third, _) = Scheduler::read("", &text(2), &registry, options, None);
    assert!(!std::sync::Arc::ptr_eq(
        &scorer(&first),
        &scorer(&third.unwrap())
    ));
}
