use std::collections::HashMap;
use std::io;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use signals::Endpoint;

use super::*;

/// Names with the addresses they have now; a name that is not there fails.
#[derive(Default)]
struct Names(Mutex<HashMap<String, Vec<IpAddr>>>);

impl Names {
    fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.0.lock().unwrap().insert(name.to_owned(), addresses);
    }
}

impl Resolve for Names {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let found = self.0.lock().unwrap().get(host).cloned();
        let result = found.ok_or_else(|| io::Error::other("no such name"));
        async move { result }.boxed()
    }
}

/// What observers were told, `+id` and `-id`.
#[derive(Default)]
struct Log(Mutex<Vec<i64>>);

impl Observer for Log {
    fn added(&self, endpoint: &Arc<Endpoint>) {
        self.0.lock().unwrap().push(i64::from(endpoint.id()));
    }

    fn removed(&self, endpoint: &Arc<Endpoint>) {
        self.0.lock().unwrap().push(-i64::from(endpoint.id()));
    }
}

struct Bench {
    names: Arc<Names>,
    log: Arc<Log>,
    membership: Membership,
}

impl Bench {
    fn new() -> Self {
        let (names, log) = (Arc::new(Names::default()), Arc::new(Log::default()));
        let observers: Vec<Arc<dyn Observer>> = vec![log.clone()];
        let membership = Membership::new(MembershipOptions::default(), names.clone(), observers);
        Self {
            names,
            log,
            membership,
        }
    }

    fn listed(&self) -> Vec<String> {
        let set = self.membership.endpoints();
        set.endpoints
            .iter()
            .map(|e| format!("{}={}", e.name(), e.address()))
            .collect()
    }

    fn told(&self) -> Vec<i64> {
        std::mem::take(&mut *self.log.0.lock().unwrap())
    }

    fn ids(&self) -> Vec<u32> {
        self.membership
            .endpoints()
            .endpoints
            .iter()
            .map(|endpoint| endpoint.id())
            .collect()
    }
}

#[test]
fn addresses_take_effect_at_once_and_survivors_stay_the_same_object() {
    let bench = Bench::new();
    bench.membership.update(vec![
        Target::new("10.0.0.1", 80),
        Target::new("fd00::1", 81),
    ]);
    assert_eq!(
        bench.listed(),
        ["10.0.0.1:80=10.0.0.1:80", "fd00::1:81=[fd00::1]:81"]
    );
    let before = bench.membership.endpoints();
    assert_eq!(before.generation, 1);
    let ids = bench.ids();
    assert_eq!(bench.told(), [i64::from(ids[0]), i64::from(ids[1])]);

    bench.membership.update(vec![
        Target::new("10.0.0.3", 80),
        Target::new("10.0.0.1", 80),
    ]);
    let after = bench.membership.endpoints();
    assert_eq!(after.generation, 2);
    assert!(Arc::ptr_eq(&before.endpoints[0], &after.endpoints[1]));
    assert_eq!(
        bench.told(),
        [i64::from(after.endpoints[0].id()), -i64::from(ids[1])]
    );
    assert!(
        before.endpoints[1].health().is_draining(),
        "late fallbacks pass it over"
    );
    assert!(!before.endpoints[0].health().is_draining());
}

#[test]
fn an_unchanged_update_publishes_nothing() {
    let bench = Bench::new();
    let targets = || vec![Target::new("10.0.0.1", 80), Target::new("10.0.0.2", 80)];
    bench.membership.update(targets());
    let before = bench.membership.endpoints();
    bench.told();
    bench.membership.update(targets());
    assert!(Arc::ptr_eq(&before, &bench.membership.endpoints()));
    assert!(bench.told().is_empty());

    let mut reversed = targets();
    reversed.reverse();
    bench.membership.update(reversed);
    assert_eq!(bench.membership.endpoints().generation, 2, "order counts");
    assert!(bench.told().is_empty());
}

#[test]
fn a_changed_identity_is_a_new_endpoint() {
    let changes: [fn(&mut Target); 4] = [
        |target| target.labels = Arc::new([("a".to_owned(), "b".to_owned())].into()),
        |target| target.https = true,
        |target| target.rank = 1,
        |target| target.name = "other".into(),
    ];
    for change in changes {
        let bench = Bench::new();
        let mut target = Target::new("10.0.0.1", 80);
        bench.membership.update(vec![target.clone()]);
        let before = bench.ids();
        change(&mut target);
        bench.membership.update(vec![target]);
        assert_ne!(bench.ids(), before);
        assert_eq!(bench.told().len(), 3);
    }
}

#[tokio::test]
async fn a_name_is_as_many_endpoints_as_it_has_addresses() {
    let bench = Bench::new();
    bench.names.set("vllm", &["10.0.0.2", "10.0.0.1", "::1"]);
    bench.membership.update(vec![Target::new("vllm", 8_000)]);
    assert!(bench.listed().is_empty(), "not resolved yet");
    bench.membership.resolve_all().await;
    let both = [
        "vllm:8000@10.0.0.1=10.0.0.1:8000",
        "vllm:8000@10.0.0.2=10.0.0.2:8000",
    ];
    assert_eq!(bench.listed(), both);
    let host = bench.membership.endpoints().endpoints[0]
        .identity()
        .host
        .clone();
    assert_eq!(&*host, "vllm", "TLS and Host want the name");

    let ids = bench.ids();
    bench.names.set("vllm", &["10.0.0.2", "10.0.0.7"]);
    bench.membership.resolve_all().await;
    assert_eq!(
        bench.ids()[0],
        ids[1],
        "an address that stays keeps its endpoint"
    );
    assert_eq!(bench.listed()[1], "vllm:8000@10.0.0.7=10.0.0.7:8000");
}

#[tokio::test]
async fn one_address_keeps_the_plain_name() {
    let bench = Bench::new();
    bench.names.set("vllm", &["10.0.0.1"]);
    bench.membership.update(vec![Target::new("vllm", 80)]);
    bench.membership.resolve_all().await;
    assert_eq!(bench.listed(), ["vllm:80=10.0.0.1:80"]);
    let ids = bench.ids();
    bench.names.set("vllm", &["10.0.0.1", "10.0.0.2"]);
    bench.membership.resolve_all().await;
    assert_eq!(
        bench.listed(),
        ["vllm:80=10.0.0.1:80", "vllm:80@10.0.0.2=10.0.0.2:80"]
    );
    assert_eq!(bench.ids()[0], ids[0]);
}

#[tokio::test]
async fn failures_and_empty_answers_keep_the_last_addresses() {
    let bench = Bench::new();
    bench.names.set("vllm", &["10.0.0.1"]);
    bench.membership.update(vec![Target::new("vllm", 80)]);
    bench.membership.resolve_all().await;
    let before = bench.membership.endpoints();
    bench.names.set("vllm", &[]);
    bench.membership.resolve_all().await;
    bench.names.0.lock().unwrap().clear();
    bench.membership.resolve_all().await;
    assert!(Arc::ptr_eq(&before, &bench.membership.endpoints()));
}

#[tokio::test]
async fn a_name_that_left_is_asked_anew_when_it_returns() {
    let bench = Bench::new();
    bench.names.set("vllm", &["10.0.0.1"]);
    bench.membership.update(vec![Target::new("vllm", 80)]);
    bench.membership.resolve_all().await;
    let first = bench.ids();
    bench.membership.update(vec![]);
    assert!(bench.ids().is_empty());
    bench.membership.update(vec![Target::new("vllm", 80)]);
    assert!(bench.ids().is_empty(), "its old addresses are not believed");
    bench.membership.resolve_all().await;
    assert_ne!(bench.ids(), first, "ids are never used again");
}

#[tokio::test(start_paused = true)]
async fn run_resolves_new_names_at_once_and_known_ones_periodically() {
    let bench = Bench::new();
    let membership = Arc::new(bench.membership);
    let cancel = CancellationToken::new();
    let (task, stop) = (membership.clone(), cancel.clone());
    let running = tokio::spawn(async move { task.run(stop).await });

    membership.settled().await;
    bench.names.set("vllm", &["10.0.0.1"]);
    let start = tokio::time::Instant::now();
    membership.update(vec![Target::new("vllm", 80), Target::new("nowhere", 80)]);
    membership.settled().await;
    assert_eq!(
        start.elapsed(),
        Duration::ZERO,
        "paused time: nothing was waited for"
    );
    assert_eq!(membership.endpoints().endpoints.len(), 1);

    bench.names.set("vllm", &["10.0.0.1", "10.0.0.2"]);
    let period = MembershipOptions::default().resolve_period;
    tokio::time::sleep(period + Duration::from_millis(1)).await;
    assert_eq!(membership.endpoints().endpoints.len(), 2);

    cancel.cancel();
    running.await.unwrap();
}

#[test]
fn two_targets_with_one_place_are_one_endpoint() {
    let bench = Bench::new();
    bench.membership.update(vec![
        Target::new("10.0.0.1", 80),
        Target::new("10.0.0.1", 80),
    ]);
    assert_eq!(bench.listed().len(), 1);
}

proptest! {
    /// Whatever the updates, observers know exactly the members, and no id comes back.
    #[test]
    fn observers_agree_with_the_set(updates in proptest::collection::vec(proptest::collection::vec(0u8..6, 0..6), 1..20)) {
        let bench = Bench::new();
        let mut known = BTreeSet::new();
        let mut ever = BTreeSet::new();
        let mut generation = 0;
        for update in updates {
            let targets = update.iter().map(|n| Target::new(&format!("10.0.0.{n}"), 80)).collect();
            bench.membership.update(targets);
            let told = bench.told();
            for &change in &told {
                if change > 0 {
                    prop_assert!(known.insert(change));
                    prop_assert!(ever.insert(change), "an id came back");
                } else {
                    prop_assert!(known.remove(&-change));
                }
            }
            let set = bench.membership.endpoints();
            let members: BTreeSet<i64> = set.endpoints.iter().map(|e| i64::from(e.id())).collect();
            prop_assert_eq!(&members, &known);
            prop_assert_eq!(members.len(), set.endpoints.len());
            let wanted: BTreeSet<u8> = update.into_iter().collect();
            prop_assert_eq!(members.len(), wanted.len());
            prop_assert!(set.generation >= generation && (told.is_empty() || set.generation > generation));
            generation = set.generation;
        }
    }
}
