use super::*;

fn rule(object: &str, models: &[&str], targets: &[(&str, u32)]) -> RewriteRule {
    RewriteRule {
        object: object.into(),
        models: models.iter().map(|model| (*model).into()).collect(),
        targets: targets
            .iter()
            .map(|(model, weight)| RewriteTarget {
                model: (*model).into(),
                weight: *weight,
            })
            .collect(),
    }
}

fn pool(rules: Vec<RewriteRule>) -> Pool {
    Pool {
        name: ObjectName::new("default", "p"),
        app_protocol: AppProtocol::Http1,
        target_ports: vec![8000],
        endpoints: Vec::new(),
        not_ready: 0,
        objectives: [("gold".into(), 10), ("batch".into(), -1)].into(),
        rewrites: ModelRewrites::new(rules),
    }
}

#[test]
fn naming_a_model_beats_the_rule_for_all_and_the_first_wins() {
    let pool = pool(vec![
        rule("all", &[], &[("fallback", 0)]),
        rule("old", &["a", "b"], &[("a-v1", 0)]),
        rule("new", &["a"], &[("a-v2", 0)]),
        rule("all-2", &[], &[("never", 0)]),
    ]);
    let of = |model| {
        pool.rewrite(model, 0)
            .map(|to| (to.target.to_string(), to.rule.to_string()))
    };
    assert_eq!(of("a"), Some(("a-v1".to_owned(), "old".to_owned())));
    assert_eq!(of("b"), Some(("a-v1".to_owned(), "old".to_owned())));
    assert_eq!(of("c"), Some(("fallback".to_owned(), "all".to_owned())));
    assert_eq!(pool.model_names().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn targets_share_by_weight() {
    let shares = |targets: &[(&str, u32)]| {
        let pool = pool(vec![rule("r", &["m"], targets)]);
        let mut counts = std::collections::BTreeMap::new();
        for step in 0..1000_u64 {
            let draw = step * (u64::MAX / 1000) + u64::MAX / 2000;
            let target = pool.rewrite("m", draw).expect("target").target.to_string();
            *counts.entry(target).or_insert(0) += 1;
        }
        counts.into_iter().collect::<Vec<_>>()
    };
    let count = |name: &str, count: i32| (name.to_owned(), count);
    assert_eq!(
        shares(&[("a", 1), ("b", 3)]),
        [count("a", 250), count("b", 750)]
    );
    assert_eq!(
        shares(&[("a", 0), ("b", 0)]),
        [count("a", 500), count("b", 500)]
    );
    assert_eq!(
        shares(&[("a", 0), ("b", 7)]),
        [count("b", 1000)],
        "a weight shuts out those without"
    );
}

#[test]
fn no_rule_or_target_leaves_the_model() {
    assert_eq!(pool(Vec::new()).rewrite("m", 1), None);
    assert_eq!(
        pool(vec![rule("r", &["m"], &[])]).rewrite("m", u64::MAX),
        None
    );
    assert_eq!(
        pool(vec![rule("r", &["m"], &[("x", 0)])]).rewrite("n", 1),
        None
    );
}

#[test]
fn priorities_follow_the_objective() {
    let pool = pool(Vec::new());
    assert_eq!(pool.priority(Some("gold")), 10);
    assert_eq!(pool.priority(Some("batch")), -1);
    assert_eq!(pool.priority(Some("unknown")), 0);
    assert_eq!(pool.priority(None), 0);
}
