//! Requests to plain Services: round robin, the rest of the list as fallback for refused connections.

use std::sync::Arc;

use resources::{BackendTarget, Service};
use signals::Endpoint;
use smallvec::SmallVec;

use super::{Dispatch, Draft, MirrorCopy, Targets};
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::reading::ReadBody;
use crate::received::Step;

pub(super) fn prepare(
    exchange: Box<Exchange>,
    draft: Draft,
    service: &Service,
    read: Option<ReadBody>,
) -> Step {
    let list = in_turn(&exchange, service);
    if list.is_empty() {
        let message = format!(
            "Service {} port {} has no ready endpoint",
            service.name, service.port
        );
        return Step::Reply(exchange.refuse(&Refusal::new(Reason::NoEndpoints, message)));
    }
    let body = draft.outgoing(read.as_ref());
    let targets = Targets::new(list, exchange.core.settings().attempts_max);
    let mut dispatch = Dispatch::assemble(exchange, draft, targets, service.app_protocol, body);
    dispatch.claim = read.map(|read| read.claim);
    Step::Send(dispatch)
}

/// The Service's endpoints, beginning with the one whose turn it is; endpoints that just refused a connection go last.
fn in_turn(exchange: &Exchange, service: &Service) -> SmallVec<[Arc<Endpoint>; 8]> {
    let Some(state) = exchange
        .view
        .services
        .get(&(service.name.clone(), service.port))
    else {
        return SmallVec::new();
    };
    let set = state.endpoints.current();
    let count = set.endpoints.len();
    if count == 0 {
        return SmallVec::new();
    }
    let start = state.next_turn() % count;
    let now = exchange.core.now();
    let mut list: SmallVec<[Arc<Endpoint>; 8]> = set
        .endpoints
        .iter()
        .cycle()
        .skip(start)
        .take(count.min(scheduling::MAX_FALLBACKS))
        .cloned()
        .collect();
    list.sort_by_key(|endpoint| endpoint.health().is_suspect(now));
    list
}

/// One endpoint of a mirror's backend; none if it has none now.
pub(super) fn mirror_copy(exchange: &Exchange, target: &BackendTarget) -> Option<MirrorCopy> {
    match target {
        BackendTarget::Service(service) => {
            let endpoint = in_turn(exchange, service).into_iter().next()?;
            Some(MirrorCopy {
                endpoint,
                protocol: service.app_protocol,
            })
        }
        BackendTarget::Pool(pool) => {
            let set = exchange
                .view
                .pools
                .get(&pool.name)?
                .state
                .endpoints
                .current();
            let count = set.endpoints.len() as u64;
            let turn = exchange.core.entropy().draw().checked_rem(count)?;
            let endpoint = set.endpoints.get(usize::try_from(turn).ok()?)?.clone();
            Some(MirrorCopy {
                endpoint,
                protocol: pool.app_protocol,
            })
        }
        BackendTarget::Invalid(_) => None,
    }
}
