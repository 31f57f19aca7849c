//! The plugins around the profiles: what happens to a request before, between and after them.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;
use signals::{Endpoint, Time};
use smallvec::SmallVec;

use crate::{Decision, Field, Findings, ScheduleError};

/// Confines a request to some of the pool's endpoints, for all profiles alike.
pub trait Screener: fmt::Debug + Send + Sync {
    /// Removes endpoints from `kept`, as [`crate::Filter::retain`] does. Every screener sees the
    /// whole list; what all of them keep is left.
    fn screen(&self, field: &Field<'_>, kept: &mut Vec<u32>, rng: &mut dyn Rng);
}

/// Finds out something about a request, or about its chances on each endpoint.
pub trait Producer: fmt::Debug + Send + Sync {
    /// Notes what it finds. `field` holds what earlier producers found.
    fn produce(&self, field: &Field<'_>, kept: &[u32], out: &mut Produced);
}

/// What one producer found. It becomes part of the [`Findings`] before the next one runs.
#[derive(Debug, Default)]
pub struct Produced {
    /// Facts about the request.
    pub attributes: SmallVec<[Attribute; 1]>,
    /// Predicted latencies, endpoint by endpoint of [`Field::endpoints`]; empty = none made.
    pub predictions: Vec<Prediction>,
    /// Share of the request's media that each endpoint holds encoded; empty = not looked up.
    pub media: Vec<f32>,
    /// Tokens of our requests in flight, endpoint by endpoint; empty = as the ledger has it.
    pub tokens_in_flight: Vec<u64>,
    /// Leading blocks matched in a source of its own: (source, blocks by endpoint).
    pub matches: Option<(crate::SourceId, Vec<u32>)>,
}

/// A fact about a request, found by one plugin and read by others.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    /// What it is, such as `agent-identity`.
    pub key: &'static str,
    /// Name of the plugin instance that found it; empty for plugins that sign with no name.
    pub producer: Arc<str>,
    /// The value. May come from a header, so it is never shown.
    pub value: Box<str>,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attribute")
            .field("key", &self.key)
            .field("producer", &self.producer)
            .finish_non_exhaustive()
    }
}

/// What an endpoint is expected to do with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Milliseconds to the first token; NaN = nothing predicted for this endpoint.
    pub ttft_ms: f32,
    /// Milliseconds per output token after it.
    pub tpot_ms: f32,
    /// What the request allows minus `ttft_ms`; negative = too slow.
    pub ttft_headroom_ms: f32,
    /// What the request and its neighbours allow minus `tpot_ms`; negative = too slow.
    pub tpot_headroom_ms: f32,
    /// The first token is expected in time.
    pub ttft_valid: bool,
    /// The later tokens are expected in time.
    pub tpot_valid: bool,
    /// Requests of ours that the endpoint is serving.
    pub dispatched: u32,
}

impl Prediction {
    /// No prediction.
    pub const NONE: Prediction = Prediction {
        ttft_ms: f32::NAN,
        tpot_ms: f32::NAN,
        ttft_headroom_ms: 0.0,
        tpot_headroom_ms: 0.0,
        ttft_valid: false,
        tpot_valid: false,
        dispatched: 0,
    };

    /// Whether anything was predicted.
    #[must_use]
    pub fn is_some(&self) -> bool {
        !self.ttft_ms.is_nan()
    }
}

/// Refuses requests that cannot be served well.
pub trait Admitter: fmt::Debug + Send + Sync {
    /// `Err` with the reason if the request must not be served now.
    ///
    /// # Errors
    /// The reason, in lower case, without values of the request.
    fn admit(&self, field: &Field<'_>, kept: &[u32], rng: &mut dyn Rng) -> Result<(), String>;
}

/// Reads facts from request headers, before anything else happens.
pub trait HeaderReader: fmt::Debug + Send + Sync {
    /// The fact, if the headers hold it.
    fn read(&self, headers: &HeaderMap) -> Option<Attribute>;
}

/// How far one profile has come.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a request has two or three of them, on the stack"
)]
pub enum Ran {
    /// It was not run.
    Not,
    /// It left no endpoint.
    Failed(ScheduleError),
    /// It chose.
    Chose(Decision),
}

impl Ran {
    /// The decision, if there is one.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        match self {
            Ran::Chose(decision) => Some(decision),
            Ran::Not | Ran::Failed(_) => None,
        }
    }

    /// The endpoint it chose.
    #[must_use]
    pub fn target(&self) -> Option<&Arc<Endpoint>> {
        self.decision()
            .and_then(|decision| decision.ranked.first())
            .map(|choice| &choice.endpoint)
    }
}

/// A set of profiles, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileSet(u64);

impl ProfileSet {
    /// Most profiles a scheduler has.
    pub const MOST: usize = 64;
    /// None.
    pub const NONE: ProfileSet = ProfileSet(0);

    /// The one at `index`.
    #[must_use]
    pub const fn one(index: usize) -> Self {
        ProfileSet(1 << index)
    }

    /// With the one at `index`.
    #[must_use]
    pub const fn with(self, index: usize) -> Self {
        ProfileSet(self.0 | 1 << index)
    }

    /// Whether the one at `index` is in it.
    #[must_use]
    pub const fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The state of a request between profiles.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Request and endpoints.
    pub field: &'a Field<'a>,
    /// Names of the profiles.
    pub profiles: &'a [Arc<str>],
    /// How far each has come, index by index.
    pub ran: &'a [Ran],
}

impl Step<'_> {
    /// Index of the profile of that name.
    #[must_use]
    pub fn index(&self, name: &str) -> Option<usize> {
        self.profiles.iter().position(|profile| **profile == *name)
    }
}

/// What a profile handler wants next.
#[derive(Clone, Debug, Default)]
pub struct Next {
    /// Profiles to run; none = finished.
    pub run: ProfileSet,
    /// The endpoint that will work on the request together with those the profiles choose.
    pub peer: Option<Arc<Endpoint>>,
}

/// How a request's profiles come together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Index of the profile whose choice gets the request.
    pub primary: usize,
    /// The request goes to this port of the chosen address, behind which the chosen port is
    /// reached; `None` = to the chosen port itself.
    pub serve_port: Option<u16>,
}

/// Decides which profiles run for a request.
pub trait ProfileHandler: fmt::Debug + Send + Sync {
    /// Whether it can work with these profiles.
    ///
    /// # Errors
    /// What is wrong, when it cannot.
    fn accepts(&self, _profiles: &[Arc<str>]) -> Result<(), String> {
        Ok(())
    }

    /// Which profiles to run now. Profiles that have run are not run again.
    fn next(&self, step: &Step<'_>) -> Next;

    /// Makes one outcome of what has run.
    ///
    /// # Errors
    /// [`ScheduleError`] when no profile chose an endpoint that the request could go to.
    fn finish(&self, step: &Step<'_>) -> Result<Verdict, ScheduleError>;
}

/// Decides whether a request is split over several endpoints.
pub trait Decider: fmt::Debug + Send + Sync {
    /// `endpoint` is the index of the one that will decode, if it is chosen already.
    fn disaggregate(&self, field: &Field<'_>, endpoint: Option<u32>) -> bool;
}

/// One change to make to a message's headers.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderChange {
    /// Which header.
    pub name: HeaderName,
    /// Its only value from now on; `None` = removed.
    pub value: Option<HeaderValue>,
}

impl fmt::Debug for HeaderChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.value.is_some() {
            "set"
        } else {
            "remove"
        };
        write!(f, "{what} {}", self.name)
    }
}

/// Changes to make to a message's headers, in order.
pub type HeaderChanges = SmallVec<[HeaderChange; 2]>;

/// Makes the changes.
pub fn apply(changes: &[HeaderChange], headers: &mut HeaderMap) {
    for change in changes {
        match &change.value {
            Some(value) => drop(headers.insert(change.name.clone(), value.clone())),
            None => drop(headers.remove(&change.name)),
        }
    }
}

/// A request whose endpoints are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// Request and endpoints.
    pub field: &'a Field<'a>,
    /// Names of the profiles.
    pub profiles: &'a [Arc<str>],
    /// What each chose.
    pub ran: &'a [Ran],
    /// Index of the profile whose choice gets the request.
    pub primary: usize,
}

impl Placed<'_> {
    /// The endpoint that the profile of that name chose.
    #[must_use]
    pub fn target(&self, profile: &str) -> Option<&Arc<Endpoint>> {
        let at = self.profiles.iter().position(|name| **name == *profile)?;
        self.ran[at].target()
    }

    /// The endpoint that gets the request.
    #[must_use]
    pub fn primary(&self) -> Option<&Arc<Endpoint>> {
        self.ran[self.primary].target()
    }
}

/// Acts when the endpoints of a request are chosen, before it is sent.
pub trait PreRequest: fmt::Debug + Send + Sync {
    /// Notes what it has to remember, and adds changes of the request's headers.
    fn placed(&self, placed: &Placed<'_>, effects: &mut Effects);
}

/// What [`PreRequest`] plugins cause.
#[derive(Debug, Default)]
pub struct Effects {
    /// Changes of the request's headers.
    pub headers: HeaderChanges,
    /// What to keep until the request has ended.
    pub tickets: SmallVec<[Box<dyn Ticket>; 1]>,
}

impl Effects {
    /// Sets a header. Text that is no header value is left out.
    pub fn set(&mut self, name: &HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push(HeaderChange {
                name: name.clone(),
                value: Some(value),
            });
        }
    }

    /// Removes a header.
    pub fn remove(&mut self, name: &HeaderName) {
        self.headers.push(HeaderChange {
            name: name.clone(),
            value: None,
        });
    }
}

/// Something that is held while a request runs; dropping it gives it back.
pub trait Ticket: fmt::Debug + Send + Sync {
    /// The answer has begun.
    fn first_token(&mut self, _now: Time) {}

    /// The answer is complete, with this many output tokens if they were counted.
    fn completed(&mut self, _output_tokens: Option<u64>, _now: Time) {}
}

/// What is remembered of a request until it has ended.
#[derive(Debug, Default)]
pub struct Flight {
    /// Profiles and the endpoints they chose first; only kept when a plugin asks.
    pub(crate) targets: SmallVec<[(Arc<str>, Arc<Endpoint>); 2]>,
    pub(crate) attributes: SmallVec<[Attribute; 2]>,
    pub(crate) tickets: SmallVec<[Box<dyn Ticket>; 1]>,
}

impl Flight {
    /// The answer has begun.
    pub fn first_token(&mut self, now: Time) {
        for ticket in &mut self.tickets {
            ticket.first_token(now);
        }
    }

    /// The answer is complete, with this many output tokens if they were counted.
    pub fn completed(&mut self, output_tokens: Option<u64>, now: Time) {
        for ticket in &mut self.tickets {
            ticket.completed(output_tokens, now);
        }
    }

    /// The endpoint that the profile of that name chose.
    #[must_use]
    pub fn target(&self, profile: &str) -> Option<&Arc<Endpoint>> {
        let found = self.targets.iter().find(|(name, _)| **name == *profile);
        found.map(|(_, endpoint)| endpoint)
    }

    /// A fact about the request.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|known| known.key == key);
        found.map(|attribute| &*attribute.value)
    }
}

/// Acts when an answer begins.
pub trait ResponseHeaders: fmt::Debug + Send + Sync {
    /// Adds changes of the answer's headers. `served` is the endpoint that answers.
    fn answered(&self, flight: &Flight, served: &Endpoint, now: Time, out: &mut HeaderChanges);
}

/// Tokens that a request took, as far as its server told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u64>,
    /// Both together.
    pub total_tokens: Option<u64>,
    /// Prompt tokens found in the server's cache.
    pub cached_tokens: Option<u64>,
}

/// A number to tell the proxy about a finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Namespace of the dynamic metadata.
    pub namespace: Arc<str>,
    /// Name in it.
    pub name: Arc<str>,
    /// The value.
    pub value: i64,
}

/// Tells the proxy something about finished requests.
pub trait Reporter: fmt::Debug + Send + Sync {
    /// The report, if there is one.
    fn report(&self, usage: &TokenUsage) -> Option<Report>;
}

/// Keeps something by endpoint.
pub trait Keeper: fmt::Debug + Send + Sync {
    /// The endpoint is gone for good.
    fn forget(&self, endpoint: &Endpoint);
}

/// Lets [`Findings`] take in what a producer found.
pub(crate) fn absorb(findings: &mut Findings, produced: Produced) {
    findings.attributes.extend(produced.attributes);
    if !produced.predictions.is_empty() {
        findings.predictions = produced.predictions;
    }
    if !produced.media.is_empty() {
        findings.media = produced.media;
    }
    if !produced.tokens_in_flight.is_empty() {
        findings.tokens_in_flight = produced.tokens_in_flight;
    }
    if let Some((source, matched)) = produced.matches {
        findings.set_matches(source, matched);
    }
}
