//! What the tests of this crate share.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use signals::{Endpoint, EndpointIdentity, Time};

use crate::{EndpointState, Field, Findings, Query};

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn endpoint(id: u32) -> Arc<Endpoint> {
    Arc::new(Endpoint::new(
        id,
        EndpointIdentity {
            name: format!("pod-{id}").into(),
            address: ([10, 0, (id >> 8) as u8, id as u8], 8000).into(),
            host: "pod".into(),
            https: false,
            labels: Arc::default(),
            rank: 0,
        },
    ))
}

pub(crate) fn endpoints(count: u32) -> Vec<Arc<Endpoint>> {
    (0..count).map(endpoint).collect()
}

/// A field to change at will.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) query: Query<'static>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) states: Vec<EndpointState>,
    pub(crate) findings: Findings,
    pub(crate) now: Time,
}

impl Ground {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            query: Query::default(),
            endpoints: endpoints(count as u32),
            states: vec![EndpointState::default(); count],
            findings: Findings::default(),
            now: Time::from_secs_f64(100.0),
        }
    }

    pub(crate) fn all(&self) -> Vec<u32> {
        (0..self.states.len() as u32).collect()
    }

    pub(crate) fn field(&self) -> Field<'_> {
        Field {
            query: &self.query,
            endpoints: &self.endpoints,
            states: &self.states,
            findings: &self.findings,
            now: self.now,
        }
    }
}
