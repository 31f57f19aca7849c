//! Synthetic traffic: classes of requests with shared prefixes and adapters.
//!
//! A class is a crowd of customers. Each *group* of it (a tenant, a document, an agent's tool set)
//! has a prefix of its own that all its requests begin with, and one model or adapter; the rest of
//! each prompt is new. Everything follows from the seed, so two runs see the same requests.

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::error::LabError;
use crate::text::{Span, mix};
use crate::wire::{Prompt, Shot};

/// One kind of traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Label in the report.
    pub name: Arc<str>,
    /// Share of the traffic, relative to the other classes.
    pub weight: f64,
    /// Models or adapters; group `g` uses entry `g % len`.
    pub models: Vec<Arc<str>>,
    /// How many different prefixes there are.
    pub groups: u32,
    /// Length of each group's prefix, tokens. 0 shares nothing.
    pub prefix_tokens: u32,
    /// Length of the part that is new in each request, tokens.
    pub question_tokens: u32,
    /// Length of the answer, tokens.
    pub output_tokens: u32,
    /// How unevenly requests fall on groups: group `g` has weight `1 / (g + 1)^skew`. 0 is even.
    pub skew: f64,
}

/// Traffic made of classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// The classes.
    pub classes: Vec<Class>,
    /// Where all choices come from.
    pub seed: u64,
}

impl Mix {
    /// The requests, without end and without times; pacing gives them.
    ///
    /// # Errors
    /// [`LabError::Plan`] when there is nothing to choose from.
    pub fn shots(&self) -> Result<impl Iterator<Item = Shot> + Send + use<>, LabError> {
        let mut classes = Vec::with_capacity(self.classes.len());
        for (index, class) in self.classes.iter().enumerate() {
            check(class)?;
            let groups =
                Chooser::new((0..class.groups).map(|g| f64::from(g + 1).powf(-class.skew)));
            classes.push((
                class.clone(),
                groups,
                mix(self.seed ^ mix(index as u64 + 1)),
            ));
        }
        if classes.is_empty() {
            return Err(LabError::Plan(
                "a traffic mix needs at least one class".to_owned(),
            ));
        }
        let chooser = Chooser::new(classes.iter().map(|(class, ..)| class.weight));
        let mut rng = StdRng::seed_from_u64(self.seed);
        Ok((0_u64..).map(move |number| {
            let (class, groups, salt) = &classes[chooser.choose(rng.random())];
            let group = groups.choose(rng.random());
            shot(class, *salt, group, number)
        }))
    }
}

fn check(class: &Class) -> Result<(), LabError> {
    let name = &class.name;
    let wrong = |what: &str| Err(LabError::Plan(format!("class {name}: {what}")));
    if class.models.is_empty() {
        return wrong("at least one model is needed");
    }
    if class.groups == 0 {
        return wrong("at least one group is needed");
    }
    if class.prefix_tokens == 0 && class.question_tokens == 0 {
        return wrong("prompts would be empty");
    }
    if !(class.weight.is_finite()
        && class.weight > 0.0
        && class.skew.is_finite()
        && class.skew >= 0.0)
    {
        return wrong("the weight must be above 0 and the skew at least 0");
    }
    Ok(())
}

fn shot(class: &Class, salt: u64, group: usize, number: u64) -> Shot {
    let span = |id: u64, tokens: u32| {
        let id = mix(salt ^ id);
        if tokens == 0 {
            Vec::new()
        } else {
            vec![Span { id, tokens }]
        }
    };
    Shot {
        at: Duration::ZERO,
        class: class.name.clone(),
        model: class.models[group % class.models.len()].clone(),
        prompt: Prompt {
            system: span(group as u64, class.prefix_tokens),
            // Numbers start above every possible group.
            user: span((1 << 32) + number, class.question_tokens.max(1)),
        },
        max_tokens: class.output_tokens,
    }
}

/// Chooses an index with given weights.
struct Chooser {
    ends: Vec<f64>,
}

impl Chooser {
    fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let ends = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        Self { ends }
    }

    /// `draw` is uniform in `[0, 1)`.
    fn choose(&self, draw: f64) -> usize {
        let at = draw * self.ends.last().copied().unwrap_or_default();
        let index = self.ends.partition_point(|&end| end <= at);
        index.min(self.ends.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn class(name: &str, weight: f64, groups: u32, skew: f64) -> Class {
        Class {
            name: name.into(),
            weight,
            models: vec!["base".into(), "adapter".into()],
            groups,
            prefix_tokens: 100,
            question_tokens: 20,
            output_tokens: 5,
            skew,
        }
    }

    fn shots(classes: Vec<Class>, count: usize) -> Vec<Shot> {
        Mix { classes, seed: 3 }
            .shots()
            .unwrap()
            .take(count)
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let classes = || vec![class("a", 1.0, 4, 0.5), class("b", 2.0, 9, 0.0)];
        assert_eq!(shots(classes(), 200), shots(classes(), 200));
        let other: Vec<Shot> = Mix {
            classes: classes(),
            seed: 4,
        }
        .shots()
        .unwrap()
        .take(200)
        .collect();
        assert_ne!(shots(classes(), 200), other);
    }

    #[test]
    fn classes_get_their_share() {
        let all = shots(
            vec![class("a", 1.0, 4, 0.0), class("b", 3.0, 4, 0.0)],
            4_000,
        );
        let of_b = all.iter().filter(|shot| &*shot.class == "b").count();
        assert!((2_850..3_150).contains(&of_b), "{of_b}");
    }

    #[test]
    fn a_group_shares_its_prefix_and_model_and_nothing_else() {
        let all = shots(vec![class("a", 1.0, 6, 0.0), class("b", 1.0, 6, 0.0)], 600);
        let mut prefixes: BTreeMap<u64, (Arc<str>, Arc<str>)> = BTreeMap::new();
        let mut questions = std::collections::BTreeSet::new();
        for shot in &all {
            let of = (shot.class.clone(), shot.model.clone());
            assert_eq!(
                prefixes
                    .entry(shot.prompt.system[0].id)
                    .or_insert_with(|| of.clone()),
                &of
            );
            assert!(
                questions.insert(shot.prompt.user[0].id),
                "questions are new"
            );
        }
        assert_eq!(prefixes.len(), 12);
    }

    #[test]
    fn skew_favours_the_first_groups() {
        let all = shots(vec![class("a", 1.0, 100, 1.2)], 2_000);
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        all.iter()
            .for_each(|shot| *counts.entry(shot.prompt.system[0].id).or_default() += 1);
        let most = counts.values().max().copied().unwrap_or_default();
        assert!(most > 300, "an even spread would give 20, got {most}");
    }

    #[test]
    fn impossible_classes_are_refused() {
        let broken: [fn(&mut Class); 5] = [
            |c| c.models.clear(),
            |c| c.groups = 0,
            |c| (c.prefix_tokens, c.question_tokens) = (0, 0),
            |c| c.weight = 0.0,
            |c| c.skew = f64::NAN,
        ];
        for breaking in broken {
            let mut class = class("a", 1.0, 1, 0.0);
            breaking(&mut class);
            assert!(
                Mix {
                    classes: vec![class],
                    seed: 0
                }
                .shots()
                .is_err()
            );
        }
        assert!(
            Mix {
                classes: vec![],
                seed: 0
            }
            .shots()
            .is_err()
        );
    }
}
