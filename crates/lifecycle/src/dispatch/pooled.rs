//! Requests to inference pools: resolve the model, admit, schedule, reserve.

use std::sync::Arc;

use payload::{Body, Facts, Rename, Usage};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use resources::ObjectName;
use scheduling::{
    Decision, Flight, HeaderChanges, HitReport, Query, RequestHeaders, ScheduleError, Scheduled,
    Scheduler, Slo,
};
use signals::{Endpoint, EndpointSet, Ledger, Time};
use smallvec::SmallVec;

use super::{Dispatch, Draft, Outgoing, Pooled, Targets};
use crate::core::PoolView;
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::headers::control;
use crate::observer::Flow;
use crate::reading::ReadBody;
use crate::received::Step;
use crate::record;

/// Bytes of text one token stands for when no tokenizer is asked.
const BYTES_PER_TOKEN: usize = 4;

pub(super) fn prepare(
    mut exchange: Box<Exchange>,
    draft: Draft,
    pool: &ObjectName,
    read: Option<ReadBody>,
) -> Step {
    match schedule(&mut exchange, &draft, pool, read.as_ref()) {
        Ok(plan) => Step::Send(assemble(exchange, draft, plan, read)),
        Err(refusal) => Step::Reply(exchange.refuse(&refusal)),
    }
}

/// Everything the scheduler decided about a request.
struct Plan {
    view: PoolView,
    scheduler: Arc<Scheduler>,
    choices: Vec<scheduling::Choice>,
    /// Endpoints that other profiles chose, with what to book there.
    helpers: SmallVec<[scheduling::Choice; 1]>,
    headers: HeaderChanges,
    flight: Flight,
    full_blocks: Vec<u64>,
    total_blocks: u32,
}

#[expect(
    clippy::too_many_lines,
    reason = "the steps of one decision in their order; most lines name the fields of the query"
)]
fn schedule(
    exchange: &mut Exchange,
    draft: &Draft,
    pool: &ObjectName,
    read: Option<&ReadBody>,
) -> Result<Plan, Refusal> {
    exchange.pool = Some(pool.clone());
    let Some(view) = exchange.view.pools.get(pool).cloned() else {
        return Err(Refusal::new(
            Reason::Internal,
            format!("InferencePool {pool} has no running state"),
        ));
    };
    let headers = &exchange.parts.headers;
    let flow = flow_of(&view, headers);
    let priority = flow.priority;
    let preset = control(
        headers,
        "x-llm-d-model-name-rewrite",
        "x-gateway-model-name-rewrite",
    )
    .map(Arc::from);
    let rewrite = resolve_model(exchange, &view, preset);

    let decided_at = exchange.core.now();
    let set = candidates(exchange, &view);
    // A request without a body asks for no inference and is never shed.
    if draft.has_body {
        admit(&view, &set, priority, decided_at)?;
    }
    if set.endpoints.is_empty() {
        return Err(none_left(exchange, &view, draft.has_body));
    }

    let facts = read.and_then(|read| read.facts.as_ref());
    let blocks = facts
        .zip(read)
        .map(|(facts, read)| hash_prompt(exchange, facts, read.plain()))
        .unwrap_or_default();
    let headers = &exchange.parts.headers;
    let query = Query {
        model: exchange.target_model.as_deref().unwrap_or_default(),
        blocks: &blocks,
        block_tokens: exchange.core.settings().block_tokens,
        prompt_tokens: facts.map_or(0, Facts::prompt_tokens_estimate),
        max_tokens: facts.and_then(|facts| facts.max_tokens),
        priority,
        subset: None,
        headers: RequestHeaders(Some(headers)),
        path: exchange.parts.uri.path(),
        request_id: exchange.request_id(),
        fairness_id: &flow.fairness,
        stream: facts.is_some_and(|facts| facts.stream),
        slo: Slo::of(RequestHeaders(Some(headers))),
        media: &[],
        wants_scores: exchange.core.settings().all_scores,
    };
    let scheduler = view.state.scheduler.load_full();
    let mut rng = SmallRng::seed_from_u64(exchange.core.entropy().draw());
    let scheduled = exchange
        .core
        .with_scratch(|scratch| {
            scheduler.schedule(
                &query,
                &set.endpoints,
                &view.state.index,
                scratch,
                decided_at,
                &mut rng,
            )
        })
        .map_err(|error| refused(pool, &error))?;

    let Scheduled {
        decision,
        headers,
        flight,
    } = scheduled;
    let (prompt_tokens, stream) = (query.prompt_tokens, query.stream);
    let choices = decision.ranked.clone();
    let helpers = decision
        .others
        .iter()
        .filter_map(|other| other.ranked.first().cloned())
        .collect();
    let (full, total) = (query.full_blocks().len(), blocks.len());
    note(
        exchange,
        draft,
        Noted {
            rewrite,
            priority,
            prompt_tokens,
            prompt_blocks: total,
            stream,
            decided_at,
            decision,
        },
    );
    exchange.flow = Some(flow);
    let mut full_blocks = blocks;
    full_blocks.truncate(full);
    Ok(Plan {
        view,
        scheduler,
        choices,
        helpers,
        headers,
        flight,
        full_blocks,
        total_blocks: u32::try_from(total).unwrap_or(u32::MAX),
    })
}

/// Whose request it is: the priority of its objective, and who shares fairly with others.
fn flow_of(view: &PoolView, headers: &http::HeaderMap) -> Flow {
    let objective = control(
        headers,
        "x-llm-d-inference-objective",
        "x-gateway-inference-objective",
    );
    let fairness = control(
        headers,
        "x-llm-d-inference-fairness-id",
        "x-gateway-inference-fairness-id",
    );
    Flow {
        priority: view.resource.priority(objective),
        fairness: fairness.map_or_else(|| Flow::default().fairness, Arc::from),
    }
}

/// The pool's endpoints that the request may go to.
fn candidates(exchange: &Exchange, view: &PoolView) -> Arc<EndpointSet> {
    let set = view.state.endpoints.current();
    let Some(subset) = &exchange.subset else {
        return set;
    };
    Arc::new(EndpointSet {
        generation: set.generation,
        endpoints: set
            .endpoints
            .iter()
            .filter(|endpoint| subset.allows(endpoint))
            .cloned()
            .collect(),
    })
}

/// Why there is no candidate.
fn none_left(exchange: &Exchange, view: &PoolView, has_body: bool) -> Refusal {
    let pool = &view.resource.name;
    let tracked = view.state.endpoints.current().endpoints.len();
    if tracked > 0 {
        return Refusal::new(
            Reason::NoEndpoints,
            format!(
                "none of the {tracked} endpoints of InferencePool {pool} is in the subset the proxy allows"
            ),
        );
    }
    let reason = if has_body || !exchange.door.proxied {
        Reason::NoEndpoints
    } else {
        Reason::NothingTracked
    };
    Refusal::new(
        reason,
        format!(
            "InferencePool {pool} has no ready endpoint ({} not ready)",
            view.resource.not_ready
        ),
    )
}

/// Sheds the request if the candidates are saturated and its priority allows it.
fn admit(view: &PoolView, set: &EndpointSet, priority: i32, now: Time) -> Result<(), Refusal> {
    match flow::admit(priority, &set.endpoints, &view.state.detector.load(), now) {
        flow::Admission::Admitted => Ok(()),
        flow::Admission::Shed { saturation } => Err(Refusal::new(
            Reason::Shed,
            format!(
                "InferencePool {} is saturated ({saturation:.2} of 1.00) and the request's priority {priority} may be shed",
                view.resource.name
            ),
        )),
    }
}

/// Settles the model name to send. Order: rewrite rule, then the preset by header, then the incoming name.
fn resolve_model(
    exchange: &mut Exchange,
    view: &PoolView,
    preset: Option<Arc<str>>,
) -> Option<Arc<str>> {
    let incoming = exchange.model.clone();
    let rewritten = incoming
        .as_deref()
        .and_then(|model| view.resource.rewrite(model, exchange.core.entropy().draw()));
    exchange.target_model = rewritten
        .as_ref()
        .map(|rewritten| rewritten.target.clone())
        .or(preset)
        .or(incoming);
    rewritten.map(|rewritten| rewritten.rule.clone())
}

fn hash_prompt(exchange: &Exchange, facts: &Facts, body: &Body) -> Vec<u64> {
    let settings = exchange.core.settings();
    let block_bytes = settings.block_tokens as usize * BYTES_PER_TOKEN;
    let seed = payload::prefix_seed(
        exchange.target_model.as_deref().unwrap_or_default(),
        facts.cache_salt.as_deref(),
    );
    let mut blocks = Vec::with_capacity(
        (facts.prompt_bytes / block_bytes.max(1) + 1).min(settings.prompt_blocks_max),
    );
    payload::prompt_blocks(body, facts, seed, block_bytes, &mut blocks);
    blocks.truncate(settings.prompt_blocks_max);
    blocks
}

fn refused(pool: &ObjectName, error: &ScheduleError) -> Refusal {
    let reason = match error {
        ScheduleError::NoEndpoints { .. } | ScheduleError::ScreenedOut { .. } => {
            Reason::NoEndpoints
        }
        ScheduleError::FilteredOut { .. } | ScheduleError::Unfinished(_) => Reason::NothingEligible,
        ScheduleError::Denied { .. } => Reason::Shed,
        ScheduleError::NotCached => Reason::NotCached,
    };
    Refusal::new(reason, format!("InferencePool {pool}: {error}"))
}

struct Noted {
    rewrite: Option<Arc<str>>,
    priority: i32,
    prompt_tokens: u64,
    prompt_blocks: usize,
    stream: bool,
    decided_at: Time,
    decision: Decision,
}

/// Writes the decision record.
fn note(exchange: &mut Exchange, draft: &Draft, noted: Noted) {
    let record = exchange.core.decisions().push(record::Draft {
        decided_at: noted.decided_at,
        request_id: exchange.request_id().to_owned(),
        trace_id: exchange.trace_id.clone(),
        route: draft.choice.route.name.to_string(),
        pool: exchange
            .pool
            .clone()
            .unwrap_or_else(|| draft.choice.route.name.clone()),
        model: exchange.model.clone(),
        target_model: exchange.target_model.clone(),
        rewrite: noted.rewrite,
        priority: noted.priority,
        prompt_tokens: noted.prompt_tokens,
        prompt_blocks: noted.prompt_blocks,
        stream: noted.stream,
        schedule_time: exchange.core.since(noted.decided_at),
        decision: noted.decision,
    });
    exchange.core.observer().decided(&record);
    exchange.record = Some(record);
}

fn assemble(
    exchange: Box<Exchange>,
    draft: Draft,
    plan: Plan,
    read: Option<ReadBody>,
) -> Box<Dispatch> {
    let renamed = exchange.model != exchange.target_model;
    let (body, decoded) = match &read {
        Some(read) if renamed => {
            patched(read, exchange.target_model.as_deref().unwrap_or_default())
        }
        _ => (draft.outgoing(read.as_ref()), false),
    };
    let rename = exchange
        .model
        .clone()
        .filter(|_| renamed)
        .map(|to| Rename { to });
    let list = plan
        .choices
        .iter()
        .map(|choice| choice.endpoint.clone())
        .collect();
    let targets = Targets::new(list, exchange.core.settings().attempts_max);
    let protocol = plan.view.resource.app_protocol;
    let mut dispatch = Dispatch::assemble(exchange, draft, targets, protocol, body);
    dispatch.decoded = decoded;
    let headers = &mut dispatch.exchange.parts.headers;
    // A compressed answer could be neither observed nor have its model name restored.
    headers.remove(http::header::ACCEPT_ENCODING);
    if decoded {
        headers.remove(http::header::CONTENT_ENCODING);
    }
    dispatch.rename = rename;
    dispatch.claim = read.map(|read| read.claim);
    scheduling::apply(&plan.headers, headers);
    let now = dispatch.exchange.core.now();
    let mut pooled = Pooled {
        view: plan.view,
        choices: plan.choices,
        full_blocks: plan.full_blocks,
        total_blocks: plan.total_blocks,
        reservation: None,
        scheduler: plan.scheduler,
        flight: plan.flight,
        headers: plan.headers,
        helpers: SmallVec::new(),
        prefilled_elsewhere: !plan.helpers.is_empty(),
    };
    let block_tokens = dispatch.exchange.core.settings().block_tokens;
    for helper in &plan.helpers {
        pooled.enlist(helper, block_tokens, now);
    }
    dispatch.pooled = Some(pooled);
    dispatch.book(now);
    dispatch.tell_picked();
    dispatch
}

/// The body with another model name, and whether it is sent decompressed now. A body without a model stays as it is.
fn patched(read: &ReadBody, model: &str) -> (Outgoing, bool) {
    match read
        .facts
        .as_ref()
        .filter(|facts| facts.model_span.is_some())
    {
        Some(facts) => {
            let body = facts.rewrite(read.plain(), Some(model), false);
            (Outgoing::Whole(body), read.decoded.is_some())
        }
        None => (Outgoing::Whole(read.original.clone()), false),
    }
}

impl Pooled {
    /// Moves the reservation to `endpoint` and records that the prompt's blocks go there.
    pub(super) fn book(&mut self, endpoint: &Arc<Endpoint>, block_tokens: u32, now: Time) {
        // The old reservation goes first: a request is never counted on two endpoints.
        self.reservation = None;
        let load = self.choice_of(endpoint).map(|choice| choice.load);
        let mut reservation = Ledger::reserve(endpoint, load.unwrap_or_default(), now);
        if self.prefilled_elsewhere {
            reservation.prefill_done();
        }
        self.reservation = Some(reservation);
        self.promise(endpoint, block_tokens);
    }

    /// Books the part of another endpoint, which ends when the answer begins.
    fn enlist(&mut self, helper: &scheduling::Choice, block_tokens: u32, now: Time) {
        self.helpers
            .push(Ledger::reserve(&helper.endpoint, helper.load, now));
        self.promise(&helper.endpoint, block_tokens);
    }

    /// The answer has begun: what others did for it is done.
    pub(crate) fn first_token(&mut self, now: Time) {
        self.helpers.clear();
        self.flight.first_token(now);
        if let Some(reservation) = &mut self.reservation {
            reservation.first_token(now);
        }
    }

    /// The same when it is not known just when it began.
    pub(crate) fn prefill_done(&mut self) {
        self.helpers.clear();
        if let Some(reservation) = &mut self.reservation {
            reservation.prefill_done();
        }
    }

    /// Records that the prompt's blocks go to an endpoint.
    fn promise(&self, endpoint: &Endpoint, block_tokens: u32) {
        let capacity = self.scheduler.index_capacity(endpoint, block_tokens);
        self.view
            .state
            .index
            .store(endpoint.id(), capacity, &self.full_blocks);
    }

    /// Takes back what [`Pooled::book`] promised to the index: the request never reached `endpoint`.
    pub(super) fn unbook(&mut self, endpoint: &Endpoint) {
        self.reservation = None;
        let held = self
            .choice_of(endpoint)
            .map_or(0, |choice| choice.matched_blocks);
        self.view
            .state
            .index
            .forget_after(endpoint.id(), &self.full_blocks, held);
    }

    /// Tells the index what the model server says it really had in its cache.
    pub(crate) fn learn(&self, endpoint: &Endpoint, usage: &Usage) {
        let (Some(cached_tokens), Some(prompt_tokens)) = (usage.cached_tokens, usage.prompt_tokens)
        else {
            return;
        };
        let report = HitReport {
            predicted_blocks: self
                .choice_of(endpoint)
                .map_or(0, |choice| choice.matched_blocks),
            total_blocks: self.total_blocks,
            cached_tokens,
            prompt_tokens,
        };
        self.view.state.index.learn(endpoint.id(), &report);
    }

    fn choice_of(&self, endpoint: &Endpoint) -> Option<&scheduling::Choice> {
        self.choices
            .iter()
            .find(|choice| choice.endpoint.id() == endpoint.id())
    }
}
