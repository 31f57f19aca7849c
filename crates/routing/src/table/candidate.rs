use super::Address;
use crate::query::query_holds;
use crate::{BASE_MODEL_HEADER, MODEL_HEADER, ModelView, RequestView};
use http::{HeaderMap, HeaderName, Method};
use resources::{Hostname, Listener, PathMatch, QueryMatch, RouteMatch, ValueMatch};
use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::sync::Arc;

/// One alternative of one rule, under one hostname.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Hostname of the route under which it stands; `None` for every one.
    pub(super) hostname: Option<Hostname>,
    pub(super) path: PathMatch,
    pub(super) address: Address,
    method: Option<Method>,
    headers: Vec<(HeaderName, ValueMatch)>,
    query: Vec<QueryMatch>,
    /// Condition on the name the request's body gives.
    pub(super) model: Option<ValueMatch>,
    /// Condition on the base of that name.
    pub(super) base: Option<ValueMatch>,
    /// Age and name of the route, for ties.
    created: i64,
    route: Arc<resources::Route>,
}

/// What trying one candidate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    /// All holds but the model, which is not known yet.
    IfModel,
}

/// All candidates of a listener.
pub(super) fn of_listener(index: usize, listener: &Listener) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (route_index, attached) in listener.routes.iter().enumerate() {
        for (rule_index, rule) in attached.route.rules.iter().enumerate() {
            for (alternative, found) in rule.matches.iter().enumerate() {
                let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
                let address = Address {
                    listener: number(index),
                    route: number(route_index),
                    rule: number(rule_index),
                    alternative: number(alternative),
                };
                let candidate = Candidate::new(&attached.route, found, address);
                if attached.hostnames.is_empty() {
                    all.push(candidate);
                    continue;
                }
                all.extend(attached.hostnames.iter().map(|hostname| Candidate {
                    hostname: Some(hostname.clone()),
                    ..candidate.clone()
                }));
            }
        }
    }
    all
}

impl Candidate {
    fn new(route: &Arc<resources::Route>, found: &RouteMatch, address: Address) -> Self {
        let special = |name: &str| {
            let header = found
                .headers
                .iter()
                .find(|header| header.name.as_str() == name);
            header.map(|header| header.value.clone())
        };
        let headers = found
            .headers
            .iter()
            .filter(|header| ![MODEL_HEADER, BASE_MODEL_HEADER].contains(&header.name.as_str()))
            .map(|header| (header.name.clone(), header.value.clone()))
            .collect();
        Self {
            hostname: None,
            path: found.path.clone(),
            address,
            method: found.method.clone(),
            headers,
            query: found.query.clone(),
            model: special(MODEL_HEADER),
            base: special(BASE_MODEL_HEADER),
            created: route.created.unwrap_or(i64::MAX),
            route: Arc::clone(route),
        }
    }

    /// True if it matches on a model header.
    pub(super) fn needs_model(&self) -> bool {
        self.model.is_some() || self.base.is_some()
    }

    /// Order of two candidates whose path conditions are of the same kind and length.
    pub(super) fn precedence(&self, other: &Self) -> Ordering {
        let key = |candidate: &Self| {
            let headers = candidate.headers.len()
                + usize::from(candidate.model.is_some())
                + usize::from(candidate.base.is_some());
            (
                Reverse(candidate.method.is_some()),
                Reverse(headers),
                Reverse(candidate.query.len()),
                candidate.created,
            )
        };
        let place = |candidate: &Self| (candidate.address.rule, candidate.address.alternative);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.route.name.cmp(&other.route.name))
            .then_with(|| place(self).cmp(&place(other)))
    }

    /// Tries everything but the path.
    pub(super) fn fits(&self, request: &RequestView<'_>) -> Fit {
        let holds = self
            .method
            .as_ref()
            .is_none_or(|method| method == request.method)
            && self
                .headers
                .iter()
                .all(|(name, value)| header_holds(request.headers, name, value))
            && self
                .query
                .iter()
                .all(|condition| query_holds(request.query, condition));
        if !holds {
            return Fit::No;
        }
        let (model, base) = match request.model {
            ModelView::Unread if self.needs_model() => return Fit::IfModel,
            ModelView::Unread | ModelView::Absent => (None, None),
            ModelView::Named { model, base } => (Some(model), base),
        };
        if holds_for(self.model.as_ref(), model) && holds_for(self.base.as_ref(), base) {
            Fit::Yes
        } else {
            Fit::No
        }
    }
}

fn holds_for(condition: Option<&ValueMatch>, value: Option<&str>) -> bool {
    condition.is_none_or(|wanted| value.is_some_and(|value| wanted.matches(value.as_bytes())))
}

/// A header given several times stands for the list of its values (RFC 9110, section 5.3).
fn header_holds(headers: &HeaderMap, name: &HeaderName, wanted: &ValueMatch) -> bool {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return false;
    };
    let mut value = Cow::Borrowed(first.as_bytes());
    for next in values {
        let joined = value.to_mut();
        joined.push(b',');
        joined.extend_from_slice(next.as_bytes());
    }
    wanted.matches(&value)
}
