//! `health-filter`: keeps away from endpoints that cannot answer.

use rand::Rng;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kind::{Build, Instance, Kind, PluginType, Roles};
use crate::{EndpointState, Field, Filter, Reads};

pub(super) const KIND: Kind = Kind::new::<Health>("health-filter", Roles::FILTER).ours();

impl PluginType for Health {
    fn build(self, _: &mut Build<'_>) -> Instance {
        Instance::filter(self)
    }
}

/// Keeps the endpoints of the best condition there is: well, else suspect after a failed
/// connection, else draining, else sleeping. So it never empties the list: a last resort is better
/// than a refusal. Takes no parameters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Health {}

fn condition(state: &EndpointState) -> u8 {
    if state.signals.sleeping {
        3
    } else if state.draining {
        2
    } else {
        u8::from(state.suspect)
    }
}

impl Filter for Health {
    fn reads(&self) -> Reads {
        Reads::HEALTH
    }

    fn retain(&self, field: &Field<'_>, kept: &mut Vec<u32>, _: &mut dyn Rng) {
        let best = kept
            .iter()
            .map(|&index| condition(field.state(index)))
            .min();
        kept.retain(|&index| Some(condition(field.state(index))) == best);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Ground, rng};

    fn kept(states: &[(bool, bool, bool)]) -> Vec<u32> {
        let mut ground = Ground::new(states.len());
        for (state, &(suspect, draining, sleeping)) in ground.states.iter_mut().zip(states) {
            (state.suspect, state.draining, state.signals.sleeping) = (suspect, draining, sleeping);
        }
        let mut kept = ground.all();
        Health {}.retain(&ground.field(), &mut kept, &mut rng(1));
        kept
    }

    #[test]
    fn keeps_the_best_condition_there_is() {
        let (well, suspect, draining, sleeping, both) = (
            (false, false, false),
            (true, false, false),
            (false, true, false),
            (false, false, true),
            (true, true, false),
        );
        assert_eq!(kept(&[well, suspect, well, draining, sleeping]), [0, 2]);
        assert_eq!(kept(&[sleeping, suspect, draining, suspect]), [1, 3]);
        assert_eq!(kept(&[sleeping, both, draining]), [1, 2]);
        assert_eq!(kept(&[sleeping, sleeping]), [0, 1]);
        assert_eq!(kept(&[]), [0u32; 0]);
    }
}
