//! Pickers, one a file.

mod max_score;
mod round_robin;

pub(crate) use max_score::MaxScore;
pub(crate) use round_robin::RoundRobin;

use serde::Deserialize;

use crate::{Factory, MAX_FALLBACKS};

pub(crate) const FACTORIES: &[Factory] = &[max_score::FACTORY, round_robin::FACTORY];

/// The parameter all pickers take.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct HowMany {
    /// How many endpoints to return: the choice and its fallbacks. Absent: [`MAX_FALLBACKS`];
    /// below 1 counts as 1.
    max_num_of_endpoints: Option<i64>,
}

impl HowMany {
    fn limit(self) -> usize {
        match self.max_num_of_endpoints {
            None => MAX_FALLBACKS,
            Some(number) => usize::try_from(number).unwrap_or(1).clamp(1, MAX_FALLBACKS),
        }
    }
}
