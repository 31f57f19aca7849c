//! From an `EndpointPickerConfig` to a scheduler: instances, defaults, checks.
//!
//! The order is that of the reference: instances as configured; defaults for profiles, policies,
//! parsers, detector and data layer; checks; missing data producers. Where the reference walks a
//! map in random order, the order of the configuration rules here.

mod defaults;
mod effective;
mod instances;
mod layout;
mod needs;
mod profiles;

use resources::{EndpointPickerConfig, Problem, Severity};

use crate::{Registry, Scheduler};
pub use effective::{Binding, Effective, FlowPolicies};
use instances::Instances;
pub(crate) use layout::Layout;

/// What a configuration may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// Alpha plugins too.
    pub allow_experimental: bool,
    /// Seed of the prefix indexes beside the pool's own; draw it at random.
    pub seed: u64,
}

/// Problems found while a scheduler is made.
#[derive(Debug)]
pub(crate) struct Findings<'c> {
    config: &'c EndpointPickerConfig,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn error(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.config.problem(Severity::Error, path, message.into());
        self.problems.push(problem);
    }

    fn warning(&mut self, path: &str, message: impl Into<String>) {
        let problem = self.config.problem(Severity::Warning, path, message.into());
        self.problems.push(problem);
    }

    fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

impl Scheduler {
    /// Makes the scheduler that `config` describes. It is there only if none of the problems is an
    /// error. Instances that `previous` has with the same type, name and parameters go on in the
    /// new one with what they remember.
    #[must_use]
    pub fn build(
        config: &EndpointPickerConfig,
        registry: &Registry,
        options: BuildOptions,
        previous: Option<&Scheduler>,
    ) -> (Option<Scheduler>, Vec<Problem>) {
        let mut findings = Findings {
            config,
            problems: Vec::new(),
        };
        let mut effective = config.clone();
        let mut instances = Instances::new(registry, options, previous);
        instances.make_configured(config, &mut findings);
        if !findings.has_errors() {
            defaults::fill(&mut effective, &mut instances, &mut findings);
            needs::fill(&mut effective, &mut instances, &mut findings);
        }
        // References can be judged although a plugin could not be made.
        profiles::check(&effective, &instances, &mut findings);
        effective::check(&effective, &instances, &mut findings);
        let scheduler = if findings.has_errors() {
            None
        } else {
            profiles::assemble(effective, instances, options, previous, &mut findings)
        };
        let scheduler = scheduler.filter(|_| !findings.has_errors());
        let mut problems = findings.problems;
        problems.sort();
        problems.dedup();
        (scheduler, problems)
    }

    /// Reads and makes a scheduler of text. `origin` names the text in problems.
    #[must_use]
    pub fn read(
        origin: &str,
        text: &str,
        registry: &Registry,
        options: BuildOptions,
        previous: Option<&Scheduler>,
    ) -> (Option<Scheduler>, Vec<Problem>) {
        let (config, mut problems) = EndpointPickerConfig::read(origin, text);
        let Some(config) = config else {
            return (None, problems);
        };
        let refused = problems.iter().any(Problem::is_error);
        let (scheduler, more) = Scheduler::build(&config, registry, options, previous);
        problems.extend(more);
        problems.sort();
        problems.dedup();
        (scheduler.filter(|_| !refused), problems)
    }
}

#[cfg(test)]
mod tests;
