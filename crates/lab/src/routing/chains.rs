//! Conversations in a trace that does not name them: a request whose prompt begins with all that an
//! earlier one's did is taken for its next turn.

use std::collections::HashMap;

use super::workload::Workload;

/// Pauses between the turns, when the answer took longer than the trace left for it, seconds.
const PAUSE_MIN_SECS: f64 = 0.1;
/// What an answer took when the trace was recorded: seconds to begin, and per token.
const SERVICE_SECS: (f64, f64) = (0.5, 0.03);

/// Lets each turn wait for the one before it. The pause between them is the trace's gap without
/// the time that the answer is taken to have taken.
pub(crate) fn close(workload: &mut Workload) {
    let mut last: HashMap<u64, u32> = HashMap::new();
    let mut turns = Vec::new();
    for (number, job) in (0_u32..).zip(workload.jobs()) {
        let blocks = workload.full_blocks(job);
        // The latest request whose whole prompt is a prefix of this one's.
        let before = blocks.iter().rev().find_map(|hash| last.get(hash)).copied();
        turns.push(before);
        if let Some(deepest) = blocks.last() {
            last.insert(*deepest, number);
        }
    }
    let times: Vec<(f64, f64)> = workload
        .jobs()
        .iter()
        .map(|job| {
            let service = SERVICE_SECS.0 + SERVICE_SECS.1 * f64::from(job.output_tokens);
            (job.at_secs, job.at_secs + service)
        })
        .collect();
    for (number, before) in turns.into_iter().enumerate() {
        let Some(before) = before else { continue };
        let pause = (times[number].0 - times[before as usize].1).max(PAUSE_MIN_SECS);
        let job = &mut workload.jobs_mut()[number];
        (job.at_secs, job.after) = (pause, Some(before));
    }
}
