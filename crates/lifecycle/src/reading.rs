//! Phase two: the request body is read, once, as it arrives.
//!
//! The body stays a chain of the chunks the door received. Its size is bounded twice: per request, and by a
//! process-wide budget that is given back as soon as the answer begins.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use payload::{Body, BodyError, Facts, Parser, Reader};

use crate::budget::Claim;
use crate::dispatch;
use crate::errors::{Reason, Refusal};
use crate::exchange::Exchange;
use crate::observer::Extraction;
use crate::observing::Observing;
use crate::received::{Choice, Chosen, Step, choose};
use crate::record::Ending;
use crate::reply::Reply;
use crate::subset::Subset;

/// A request whose body is being read.
pub struct Reading {
    exchange: Box<Exchange>,
    /// Known when a route was found without the body; otherwise the model decides.
    choice: Option<Choice>,
    scan: Scan,
    body: Body,
    claim: Claim,
}

/// How the body is looked into.
enum Scan {
    /// Chunk by chunk, as it arrives.
    Live(Box<Reader>),
    /// After it has been decompressed as a whole.
    Encoded(String),
    /// Not at all: the first look found that it is no JSON, on a path where that is allowed.
    Blind,
}

/// A body that was read, with what was found in it.
pub(crate) struct ReadBody {
    /// What the scan found; `None` for a body the gateway does not understand.
    pub(crate) facts: Option<Facts>,
    /// The bytes as the client sent them.
    pub(crate) original: Body,
    /// The decompressed bytes that `facts` speaks about, if the client sent them compressed.
    pub(crate) decoded: Option<Body>,
    /// Holds the bytes' share of the budget.
    pub(crate) claim: Claim,
}

impl ReadBody {
    /// The bytes that `facts` speaks about.
    pub(crate) fn plain(&self) -> &Body {
        self.decoded.as_ref().unwrap_or(&self.original)
    }
}

impl Reading {
    pub(crate) fn begin(mut exchange: Box<Exchange>, choice: Option<Choice>) -> Step {
        let limit = exchange.core.settings().body_bytes_max;
        let announced = exchange
            .parts
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            exchange.extraction = Extraction::TooLarge;
            return Step::Reply(exchange.refuse(&too_large(limit)));
        }
        let encoding = exchange
            .parts
            .headers
            .get(CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.eq_ignore_ascii_case("identity"));
        let reads = exchange.parser.is_some_and(Parser::reads);
        let scan = match encoding {
            _ if !reads => Scan::Blind,
            Some(encoding) => Scan::Encoded(encoding.to_owned()),
            None => Scan::Live(Box::new(reader(&exchange))),
        };
        let claim = exchange.core.body_budget().claim();
        Step::Read(Self {
            exchange,
            choice,
            scan,
            body: Body::new(),
            claim,
        })
    }

    /// Takes the next chunk of the body.
    ///
    /// # Errors
    /// The refusal to pass to [`Reading::refuse`]: too large, over the budget, or not what the API demands.
    /// The rest of the body need not be read.
    pub fn feed(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        let limit = self.exchange.core.settings().body_bytes_max;
        let length = chunk.len() as u64;
        self.exchange.body_bytes += length;
        if self.exchange.body_bytes > limit {
            self.exchange.extraction = Extraction::TooLarge;
            return Err(too_large(limit));
        }
        if !self.claim.grow(length) {
            let budget = self.exchange.core.body_budget().limit();
            let message = format!(
                "request bodies in memory reached the budget of {budget} bytes; try again shortly"
            );
            return Err(Refusal::new(Reason::BodyBudget, message));
        }
        if let Scan::Live(reader) = &mut self.scan
            && let Err(error) = reader.feed(&chunk)
        {
            self.unreadable(error)?;
        }
        self.body.push(chunk);
        Ok(())
    }

    /// An unreadable body is an error where an LLM API is spoken, and none of our business elsewhere.
    fn unreadable(&mut self, error: BodyError) -> Result<(), Refusal> {
        self.exchange.extraction = Extraction::Unreadable;
        if self.exchange.api.reads_body() {
            let words = if self.exchange.parser == Some(Parser::Routing) {
                Some(format!("failed to parse request body: {error}"))
            } else {
                error.reference_words(self.exchange.api)
            };
            let refusal = Refusal::from(error);
            return Err(match words {
                Some(words) => refusal.in_reference(words),
                None => refusal,
            });
        }
        self.scan = Scan::Blind;
        Ok(())
    }

    /// Ends the request with the refusal that [`Reading::feed`] gave.
    #[must_use]
    pub fn refuse(self, refusal: &Refusal) -> Reply {
        self.exchange.refuse(refusal)
    }

    /// The client sent nothing for the configured time.
    #[must_use]
    pub fn stalled(self) -> Reply {
        let message = format!(
            "the request body stalled after {} bytes",
            self.exchange.body_bytes
        );
        self.exchange
            .refuse(&Refusal::new(Reason::BodyTimeout, message))
    }

    /// The proxy in front confines the request to these endpoints. The last call counts.
    pub fn restrict(&mut self, subset: Subset) {
        self.exchange.subset = Some(subset);
    }

    /// Someone else answers the request before its body is complete: there is only an answer to watch.
    #[must_use]
    pub fn answered_elsewhere(self, response: &mut http::response::Parts) -> Observing {
        Observing::detached(self.exchange, response)
    }

    /// The body is complete.
    #[must_use]
    pub fn finish(mut self) -> Step {
        let (facts, decoded) = match self.scan_rest().and_then(|found| self.checked(found)) {
            Ok(found) => found,
            Err(refusal) => return Step::Reply(self.exchange.refuse(&refusal)),
        };
        let Self {
            mut exchange,
            choice,
            body,
            claim,
            ..
        } = self;
        note_model(&mut exchange, facts.as_ref());
        let read = ReadBody {
            facts,
            original: body,
            decoded,
            claim,
        };
        let choice = match choice {
            Some(choice) => choice,
            None => match route_by_model(&exchange) {
                Ok(Chosen::Backend(choice)) => choice,
                Ok(Chosen::Reply(reply)) => return Step::Reply(exchange.answer(reply)),
                Err(refusal) => return Step::Reply(exchange.refuse(&refusal)),
            },
        };
        dispatch::prepare(exchange, &choice, Some(read), true)
    }

    /// The body is complete, and its model is all that was wanted: someone else routes the request.
    ///
    /// # Errors
    /// The answer to send when the body cannot be read.
    pub fn named(mut self) -> Result<Named, Box<Reply>> {
        let (facts, decoded) = match self.scan_rest() {
            Ok(found) => found,
            Err(refusal) => return Err(Box::new(self.exchange.refuse(&refusal))),
        };
        note_model(&mut self.exchange, facts.as_ref());
        self.exchange.end(Ending::Completed);
        let model = self.exchange.model.clone();
        let mapping = &self.exchange.view.snapshot.base_models;
        let base = model
            .as_deref()
            .and_then(|model| mapping.base_of(model.trim()).cloned());
        let decoded = decoded.unwrap_or_else(|| self.body.clone());
        Ok(Named {
            model,
            base,
            body: self.body,
            decoded,
        })
    }

    /// Reads a whole body for its model only.
    pub(crate) fn scan_whole(
        exchange: Box<Exchange>,
        body: Bytes,
    ) -> Result<Box<Exchange>, Refusal> {
        let mut reading = match Self::begin(exchange, None) {
            Step::Read(reading) => reading,
            Step::Reply(_) | Step::Send(_) => {
                return Err(Refusal::new(
                    Reason::BodyTooLarge,
                    "the body is larger than the limit",
                ));
            }
        };
        reading.feed(body)?;
        let (facts, _) = reading.scan_rest()?;
        let mut exchange = reading.exchange;
        note_model(&mut exchange, facts.as_ref());
        Ok(exchange)
    }

    /// Holds what was read against what the configured parser asks for.
    fn checked(
        &self,
        found: (Option<Facts>, Option<Body>),
    ) -> Result<(Option<Facts>, Option<Body>), Refusal> {
        let Some(parser) = self.exchange.parser else {
            let path = self.exchange.parts.uri.path();
            let message = format!("no configured parser takes requests to {path}");
            return Err(
                Refusal::new(Reason::InvalidBody, message).in_reference(format!(
                    "no parser registered matching path suffix for: {path}"
                )),
            );
        };
        let named = found
            .0
            .as_ref()
            .is_some_and(|facts| facts.model_span.is_some());
        if parser.requires_model() && !named && self.exchange.model.is_none() {
            return Err(Refusal::new(
                Reason::MissingModel,
                "the body has no string field \"model\"",
            ));
        }
        Ok(found)
    }

    fn scan_rest(&mut self) -> Result<(Option<Facts>, Option<Body>), Refusal> {
        match std::mem::replace(&mut self.scan, Scan::Blind) {
            Scan::Live(reader) => match reader.finish() {
                Ok(facts) => Ok((Some(facts), None)),
                Err(error) => self.unreadable(error).map(|()| (None, None)),
            },
            Scan::Encoded(encoding) => self.decode(&encoding),
            Scan::Blind => Ok((None, None)),
        }
    }

    fn decode(&mut self, encoding: &str) -> Result<(Option<Facts>, Option<Body>), Refusal> {
        let limit =
            usize::try_from(self.exchange.core.settings().body_bytes_max).unwrap_or(usize::MAX);
        let decoded = match payload::decode(encoding, limit, &self.body) {
            Ok(decoded) => decoded,
            Err(error) => return self.unreadable(error).map(|()| (None, None)),
        };
        if !self.claim.grow(decoded.len() as u64) {
            return Err(Refusal::new(
                Reason::BodyBudget,
                "the decompressed body does not fit the budget for request bodies; try again shortly",
            ));
        }
        let mut reader = reader(&self.exchange);
        let facts = decoded
            .chunks()
            .iter()
            .try_for_each(|chunk| reader.feed(chunk))
            .and_then(|()| reader.finish());
        match facts {
            Ok(facts) => Ok((Some(facts), Some(decoded))),
            Err(error) => self.unreadable(error).map(|()| (None, None)),
        }
    }
}

fn reader(exchange: &Exchange) -> Reader {
    let reader = Reader::new(exchange.api, &exchange.parts.headers);
    if exchange.parser == Some(Parser::Routing) {
        reader.unchecked()
    } else {
        reader
    }
}

/// What a body-based router learns from a request.
#[derive(Debug, Clone)]
pub struct Named {
    /// The model the request names.
    pub model: Option<Arc<str>>,
    /// The base model it belongs to, if a mapping knows it.
    pub base: Option<Arc<str>>,
    /// The body as it came.
    pub body: Body,
    /// The body without its `Content-Encoding`; the same where it had none.
    pub decoded: Body,
}

/// Writes down what the scan found about the model. A model named by path or header goes before.
fn note_model(exchange: &mut Exchange, facts: Option<&Facts>) {
    let Some(facts) = facts else { return };
    exchange.asked_usage = facts.include_usage;
    if exchange.extraction == Extraction::NotApplicable {
        exchange.extraction = if facts.model.is_some() {
            Extraction::Ok
        } else {
            Extraction::FieldMissing
        };
    }
    if exchange.model.is_none() {
        exchange.model.clone_from(&facts.model);
    }
}

/// Matches again, now that the model is known or known to be missing.
fn route_by_model(exchange: &Exchange) -> Result<Chosen, Refusal> {
    let outcome = exchange
        .view
        .table
        .route(&exchange.view(exchange.model_view(false)));
    if exchange.model.is_none() && matches!(outcome, routing::Outcome::NoRoute) {
        return Err(Refusal::new(
            Reason::MissingModel,
            "the route depends on the model and the body has no string field \"model\"",
        ));
    }
    choose(exchange, &outcome)
}

fn too_large(limit: u64) -> Refusal {
    Refusal::new(
        Reason::BodyTooLarge,
        format!("the request body is larger than the limit of {limit} bytes"),
    )
}
