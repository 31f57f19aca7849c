//! The reader of request bodies.

use std::sync::Arc;

use http::HeaderMap;

use crate::grpc::GrpcRequest;
use crate::multipart::Form;
use crate::request::Request;
use crate::scan::Scanner;
use crate::{Api, BodyError, Encoding, Facts};

/// Reads one request body, chunk by chunk, in a single scan.
///
/// Where a field is given twice, the last one counts, as it does for the JSON readers of CPython
/// and Go. Fields are recognised through JSON escapes. Nothing in the body is kept but the model's
/// name and the cache salt.
#[derive(Debug)]
pub struct Reader {
    api: Api,
    kind: Kind,
    /// The first error, which is also the last.
    failed: Option<BodyError>,
}

#[derive(Debug)]
enum Kind {
    Json(Box<Json>),
    Form(Box<Form>),
    Grpc(GrpcRequest),
    Unread,
}

#[derive(Debug)]
struct Json {
    scanner: Scanner,
    request: Request,
}

impl Reader {
    /// A reader for a request of `api` whose headers (`Content-Type` is used) are `headers`.
    ///
    /// The body must have its `Content-Encoding` undone first, see [`crate::decode`].
    pub fn new(api: Api, headers: &HeaderMap) -> Reader {
        let kind = match Encoding::of(api, headers) {
            _ if api.is_grpc() => Kind::Grpc(GrpcRequest::new(api)),
            Encoding::Json => Kind::Json(Box::new(Json {
                scanner: Scanner::new(),
                request: Request::new(api),
            })),
            Encoding::Multipart { boundary } => Kind::Form(Box::new(Form::new(&boundary))),
            Encoding::Other => Kind::Unread,
        };
        Reader {
            api,
            kind,
            failed: None,
        }
    }

    /// Does without the check that the fields are there which the API requires: for a reader that only wants the model.
    #[must_use]
    pub fn unchecked(mut self) -> Reader {
        if let Kind::Json(json) = &mut self.kind {
            json.request.leave_unchecked();
        }
        self
    }

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    ///
    /// [`BodyError`] as soon as the body cannot be right any more; from then on the same error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = match &mut self.kind {
            Kind::Json(json) => json.scanner.feed(chunk, &mut json.request),
            Kind::Form(form) => {
                form.feed(chunk);
                Ok(())
            }
            Kind::Grpc(request) => {
                request.feed(chunk);
                Ok(())
            }
            Kind::Unread => Ok(()),
        };
        self.failed = result.as_ref().err().cloned();
        result
    }

    /// The model's name as far as the body has been read. A later duplicate may still change it.
    pub fn model(&self) -> Option<&Arc<str>> {
        match &self.kind {
            Kind::Json(json) => json.request.model(),
            Kind::Form(form) => form.model(),
            Kind::Grpc(_) | Kind::Unread => None,
        }
    }

    /// The body is complete: gives what was read.
    ///
    /// # Errors
    ///
    /// [`BodyError`] when the body ends too early or lacks a field that the API requires. A missing
    /// `model` is not an error here, and an empty body is one only for APIs that have a body.
    pub fn finish(self) -> Result<Facts, BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.kind {
            Kind::Json(json) => {
                let bytes = json.scanner.offset();
                if bytes == 0 && !self.api.reads_body() {
                    return Ok(Facts::default());
                }
                json.scanner.finish()?;
                json.request.finish(bytes)
            }
            Kind::Form(form) => form.finish(),
            Kind::Grpc(request) => request.finish(),
            Kind::Unread => Ok(Facts::default()),
        }
    }
}

#[cfg(test)]
mod tests;
