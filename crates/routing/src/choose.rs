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
