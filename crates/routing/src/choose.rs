use resources::{Backend, Rule};

/// Chooses a backend by weight. `draw` is uniform over all `u64`.
///
/// `None` if the rule has no backend with a weight above 0.
pub fn choose_backend(rule: &Rule, draw: u64) -> Option<&Backend> {
    let total: u64 = rule
        .backends
        .iter()
        .map(|backend| u64::from(backend.weight))
        .sum();
    let mut left = (u128::from(draw) * u128::from(total)) >> 64;
    rule.backends.iter().find(|backend| {
        let weight = u128::from(backend.weight);
        let found = left < weight;
        left = left.saturating_sub(weight);
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::{BackendTarget, Timeouts};

    fn rule(weights: &[u32]) -> Rule {
        let backend = |weight: &u32| Backend {
            weight: *weight,
            target: BackendTarget::Invalid("test".into()),
            filters: Vec::new(),
        };
        Rule {
            name: None,
            matches: Vec::new(),
            filters: Vec::new(),
            backends: weights.iter().map(backend).collect(),
            timeouts: Timeouts::default(),
            retry: None,
        }
    }

    fn index(rule: &Rule, draw: u64) -> Option<usize> {
        let chosen = choose_backend(rule, draw)?;
        rule.backends
            .iter()
            .position(|backend| std::ptr::eq(backend, chosen))
    }

    #[test]
    fn shares_follow_weights_exactly() {
        let rule = rule(&[1, 0, 3]);
        let mut counts = [0; 3];
        for step in 0..4000_u64 {
            let draw = step * (u64::MAX / 4000) + u64::MAX / 8000;
            counts[index(&rule, draw).expect("chosen")] += 1;
        }
        assert_eq!(counts, [1000, 0, 3000]);
    }

    #[test]
    fn weight_zero_gets_nothing() {
        for draw in [0, 1, u64::MAX / 2, u64::MAX] {
            assert_eq!(index(&rule(&[0, 0]), draw), None);
            assert_eq!(index(&rule(&[]), draw), None);
            assert_eq!(index(&rule(&[0, 1_000_000, 0]), draw), Some(1));
        }
    }
}
