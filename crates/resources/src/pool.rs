use crate::{AppProtocol, EndpointSpec, ObjectName};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// An InferencePool with all that belongs to it.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Namespace and name.
    pub name: ObjectName,
    /// What its endpoints speak.
    pub app_protocol: AppProtocol,
    /// Ports of each pod, one endpoint per port; empty for a pool made up from bare endpoints.
    pub target_ports: Vec<u16>,
    /// Ready endpoints, ordered by name.
    pub endpoints: Vec<EndpointSpec>,
    /// Pods (or bare endpoints) selected but not ready.
    pub not_ready: usize,
    /// Priority by name of the InferenceObjective.
    pub objectives: BTreeMap<Arc<str>, i32>,
    /// Model names to be replaced.
    pub rewrites: ModelRewrites,
}

impl Pool {
    /// Priority of a request that names `objective`; unknown or absent ones have 0.
    pub fn priority(&self, objective: Option<&str>) -> i32 {
        objective
            .and_then(|name| self.objectives.get(name))
            .copied()
            .unwrap_or(0)
    }

    /// The model that `model` stands for, or `None` if no rule replaces it.
    ///
    /// `draw` is uniform over all `u64` and chooses among weighted targets.
    pub fn rewrite(&self, model: &str, draw: u64) -> Option<Rewritten<'_>> {
        let rule = self.rewrites.rule_for(model)?;
        let target = rule.choose(draw)?;
        Some(Rewritten {
            target: &target.model,
            rule: &rule.object,
        })
    }

    /// Model names that rules name exactly, in order: names a client may use though no server lists them.
    pub fn model_names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<&str> = self.rewrites.by_model.keys().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.into_iter()
    }
}

/// Outcome of [`Pool::rewrite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten<'p> {
    /// Model name to send to the server.
    pub target: &'p Arc<str>,
    /// Name of the InferenceModelRewrite that says so.
    pub rule: &'p Arc<str>,
}

/// The rules of all InferenceModelRewrites of a pool, in order of precedence.
#[derive(Clone, Debug, Default)]
pub struct ModelRewrites {
    rules: Vec<RewriteRule>,
    by_model: HashMap<Arc<str>, usize>,
    generic: Option<usize>,
}

impl ModelRewrites {
    /// Indexes rules that are given best first: where two match the same model, the earlier one wins.
    pub fn new(rules: Vec<RewriteRule>) -> Self {
        let mut by_model = HashMap::new();
        let mut generic = None;
        for (index, rule) in rules.iter().enumerate() {
            if rule.models.is_empty() {
                generic.get_or_insert(index);
            }
            for model in &rule.models {
                by_model.entry(Arc::clone(model)).or_insert(index);
            }
        }
        Self {
            rules,
            by_model,
            generic,
        }
    }

    /// All rules, best first.
    pub fn rules(&self) -> &[RewriteRule] {
        &self.rules
    }

    /// The rule that holds for `model`: one that names it, else one without matches.
    pub fn rule_for(&self, model: &str) -> Option<&RewriteRule> {
        let index = self.by_model.get(model).copied().or(self.generic)?;
        self.rules.get(index)
    }
}

/// One rule of an InferenceModelRewrite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewriteRule {
    /// Name of the InferenceModelRewrite.
    pub object: Arc<str>,
    /// Models it holds for; empty means every one.
    pub models: Vec<Arc<str>>,
    /// What to replace the model with; never empty in a validated snapshot.
    pub targets: Vec<RewriteTarget>,
}

impl RewriteRule {
    /// Chooses a target by weight: all weights unset is an even choice, and once one weight is set
    /// the targets without any are never chosen.
    fn choose(&self, draw: u64) -> Option<&RewriteTarget> {
        let scale = |total: u64| (u128::from(draw) * u128::from(total)) >> 64;
        let total: u64 = self
            .targets
            .iter()
            .map(|target| u64::from(target.weight))
            .sum();
        if total == 0 {
            let index = scale(self.targets.len() as u64);
            return self.targets.get(usize::try_from(index).ok()?);
        }
        let mut left = scale(total);
        self.targets.iter().find(|target| {
            let weight = u128::from(target.weight);
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        })
    }
}

/// One target of a [`RewriteRule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RewriteTarget {
    /// Model name to send to the server.
    pub model: Arc<str>,
    /// Relative share; 0 where the manifest gives none.
    pub weight: u32,
}

#[cfg(test)]
mod tests;
