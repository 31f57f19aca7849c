//! From what a request asks for to what the engine has to do.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::{
    failure::Failure,
    models::Served,
    request::{Ask, Limits},
    text,
};
use crate::{
    config::SimConfig,
    engine::{EngineConfig, Refusal, Submission},
};

/// One sequence: a submission for the engine, and what the client will read.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) output: Output,
}

/// An answer that is known before it is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Output {
    /// Seed of its text.
    pub(super) seed: u64,
    /// Length, tokens.
    pub(super) tokens: u32,
    /// Whether it ends at a limit rather than by itself.
    pub(super) limited: bool,
    /// Length of its prompt, tokens; 0 for further answers to the same prompt, so that usage
    /// counts each prompt once.
    pub(super) prompt_tokens: u32,
}

/// Sizes that plans depend on.
#[derive(Debug, Clone)]
pub(super) struct Planner {
    seed: u64,
    mean: f64,
    sigma: f64,
    block_size: u32,
    /// Longest sequence that the model and the cache take, tokens.
    length_max: u32,
}

impl Planner {
    pub(super) fn new(config: &SimConfig, engine: &EngineConfig) -> Self {
        let cache = engine.kv_blocks.saturating_mul(engine.block_size);
        Self {
            seed: config.seed,
            mean: config.output_tokens_mean,
            sigma: config.output_tokens_sigma,
            block_size: engine.block_size,
            length_max: engine.max_model_len.min(cache),
        }
    }

    /// One job for each answer to each prompt.
    pub(super) fn jobs(&self, ask: Ask, served: &Served) -> Result<Vec<Job>, Failure> {
        // What makes KV entries of equal text differ: the adapter and the tenant's salt.
        let adapter = served.adapter.map_or(0, |adapter| u64::from(adapter.0) + 1);
        let salt = ask.salt.as_ref().map_or(0, |salt| xxh3_64(salt.as_bytes()));
        let chain = xxh3_64_with_seed(&salt.to_le_bytes(), adapter);
        let mut jobs = Vec::with_capacity(ask.prompts.len() * ask.answers as usize);
        for prompt in ask.prompts {
            for answer in 0..ask.answers {
                let first = answer == 0;
                jobs.push(self.job(prompt.clone(), answer, ask.limits, chain, first)?);
            }
        }
        for job in &mut jobs {
            job.submission.adapter = served.adapter;
        }
        Ok(jobs)
    }

    fn job(
        &self,
        mut sequence: Vec<u8>,
        answer: u32,
        limits: Limits,
        chain: u64,
        first: bool,
    ) -> Result<Job, Failure> {
        let prompt_tokens = text::count(sequence.len());
        let seed = xxh3_64_with_seed(&sequence, self.seed.wrapping_add(u64::from(answer)));
        let (tokens, limited) = self.length(prompt_tokens, limits, seed)?;
        // The next turn of the conversation will hold the answer, so its blocks have hashes too.
        text::extend(&mut sequence, seed, 0..tokens);
        let blocks = text::block_hashes(&sequence, self.block_size, chain);
        let submission = Submission {
            prompt_tokens,
            output_tokens: tokens,
            blocks,
            ..Submission::default()
        };
        let prompt_tokens = if first { prompt_tokens } else { 0 };
        Ok(Job {
            submission,
            output: Output {
                seed,
                tokens,
                limited,
                prompt_tokens,
            },
        })
    }

    /// Length of an answer, and whether a limit ends it.
    fn length(&self, prompt: u32, limits: Limits, seed: u64) -> Result<(u32, bool), Failure> {
        if prompt == 0 {
            return Err(Refusal::EmptyPrompt.into());
        }
        let room = self.length_max.saturating_sub(prompt);
        let needed = match limits {
            Limits { pooling: true, .. } => 0,
            Limits { max: Some(max), .. } => max,
            Limits { min, .. } => min.max(1),
        };
        if needed > room || prompt > self.length_max {
            let tokens = u64::from(prompt) + u64::from(needed);
            return Err(Refusal::TooLong {
                tokens,
                allowed: u64::from(self.length_max),
            }
            .into());
        }
        if limits.pooling {
            return Ok((0, false));
        }
        let max = limits.max.unwrap_or(room);
        let natural = self.natural_length(seed).max(limits.min);
        let limited = limits.ignore_eos || natural >= max;
        Ok((if limited { max } else { natural }, limited))
    }

    /// Draws from a lognormal distribution with the configured mean.
    fn natural_length(&self, seed: u64) -> u32 {
        let uniform = |purpose: u8| {
            let draw = xxh3_64_with_seed(&[purpose], seed) >> 11;
            // In (0, 1], so that its logarithm is finite.
            (draw + 1) as f64 / (1_u64 << 53) as f64
        };
        // Box and Muller's transform.
        let normal = (-2.0 * uniform(0).ln()).sqrt() * (std::f64::consts::TAU * uniform(1)).cos();
        let mu = self.mean.ln() - self.sigma * self.sigma / 2.0;
        (mu + self.sigma * normal).exp().round().max(1.0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::AdapterId;

    fn planner() -> Planner {
        let config = SimConfig {
            max_model_len: 1000,
            ..SimConfig::default()
        };
        Planner::new(&config, &config.engine().expect("valid"))
    }

    fn ask(prompt: &str, limits: Limits) -> Ask {
        Ask {
            model: None,
            stream: false,
            include_usage: false,
            prompts: vec![prompt.as_bytes().to_vec()],
            answers: 1,
            limits,
            salt: None,
            base64: false,
            dimensions: None,
            request_id: None,
        }
    }

    fn served(adapter: Option<u32>) -> Served {
        Served {
            name: String::new(),
            adapter: adapter.map(AdapterId),
        }
    }

    #[test]
    fn lengths_obey_their_limits() {
        let limits = Limits {
            max: Some(50),
            ..Limits::default()
        };
        for prompt in 0..200 {
            let jobs = planner().jobs(ask(&format!("{prompt:040}"), limits), &served(None));
            let output = jobs.expect("fits")[0].output;
            assert_eq!(output.prompt_tokens, 10);
            assert!(output.tokens <= 50 && output.limited == (output.tokens == 50));
        }
        let exact = Limits {
            ignore_eos: true,
            ..limits
        };
        let jobs = planner()
            .jobs(ask("x", exact), &served(None))
            .expect("fits");
        assert_eq!((jobs[0].output.tokens, jobs[0].output.limited), (50, true));
        let pooling = Limits {
            pooling: true,
            ..Limits::default()
        };
        let jobs = planner()
            .jobs(ask("x", pooling), &served(None))
            .expect("fits");
        assert_eq!(jobs[0].output.tokens, 0);
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        let max = |max| Limits {
            max,
            ..Limits::default()
        };
        let long = "x".repeat(3600);
        assert!(
            planner()
                .jobs(ask(&long, max(Some(100))), &served(None))
                .is_ok()
        );
        assert!(
            planner()
                .jobs(ask(&long, max(Some(101))), &served(None))
                .is_err()
        );
        assert!(
            planner()
                .jobs(ask(&"x".repeat(4000), max(None)), &served(None))
                .is_err()
        );
        assert!(planner().jobs(ask("", max(None)), &served(None)).is_err());
    }

    #[test]
    fn drawn_lengths_have_the_configured_mean() {
        let planner = planner();
        let total: u64 = (0..20_000)
            .map(|seed| u64::from(planner.natural_length(seed)))
            .sum();
        let mean = total as f64 / 20_000.0;
        assert!((mean - 128.0).abs() < 3.0, "{mean}");
    }

    #[test]
    fn adapters_and_salts_share_no_blocks() {
        let blocks = |adapter, salt: Option<&str>| {
            let mut ask = ask(
                &"x".repeat(640),
                Limits {
                    max: Some(1),
                    ..Limits::default()
                },
            );
            ask.salt = salt.map(str::to_owned);
            let jobs = planner().jobs(ask, &served(adapter)).expect("fits");
            jobs[0].submission.blocks[0]
        };
        let all = [
            blocks(None, None),
            blocks(Some(0), None),
            blocks(Some(1), None),
            blocks(None, Some("a")),
            blocks(Some(0), Some("a")),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(blocks(None, Some("a")), blocks(None, Some("a")));
    }

    #[test]
    fn equal_requests_get_equal_answers() {
        let jobs = || {
            planner()
                .jobs(ask("same", Limits::default()), &served(None))
                .expect("fits")
        };
        assert_eq!(jobs()[0].output, jobs()[0].output);
    }
}
