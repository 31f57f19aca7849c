//! `health-filter`: keeps away from endpoints that cannot answer.

use rand::Rng;

use crate::registry::{NoParameters, parameters};
use crate::{EndpointState, Factory, Field, Filter, Plugin, Reads};

pub(crate) const FACTORY: Factory = Factory {
    kind: "health-filter",
    build: |value| {
        parameters::<NoParameters>(value)?;
        Ok(Plugin::Filter(Box::new(Health)))
    },
};

/// Keeps the endpoints of the best condition there is: well, else suspect after a failed
/// connection, else draining, else sleeping. So it never empties the list: a last resort is better
/// than a refusal. Takes no parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health;

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
