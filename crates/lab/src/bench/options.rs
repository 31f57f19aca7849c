//! Options that `bench load` and `bench replay` share.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client::Target;
use crate::error::LabError;
use crate::load::Plan;
use crate::wire::{Api, Wire};

/// Options of every command that sends load.
#[derive(Clone, Debug, clap::Args)]
pub struct CommonOptions {
    /// Where to send: http://host:port. Give it several times to go round robin over several
    /// servers, which is the baseline to measure a gateway against
    #[arg(long = "endpoint", value_name = "URL", required = true)]
    pub endpoints: Vec<String>,

    /// The model to ask for; several, separated by commas, share the traffic. Left out: the first
    /// one that the endpoint's /v1/models names
    #[arg(long = "model", value_name = "NAME", value_delimiter = ',')]
    pub models: Vec<String>,

    /// The API to speak
    #[arg(long, value_enum, default_value = "chat")]
    pub api: Api,

    /// Ask for whole answers instead of streams; the time to first token is then the time to the
    /// end
    #[arg(long)]
    pub no_stream: bool,

    /// A header for every request, such as 'authorization: Bearer ...'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<HeaderOption>,

    /// Longest time for one request, in seconds of real time
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,

    /// At most so many requests at once; more wait, and their waiting counts
    #[arg(long, value_name = "N", default_value_t = 4_096)]
    pub max_in_flight: usize,

    /// Where all random choices come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Compare with the figures of an earlier run, written by --json
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,

    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl CommonOptions {
    pub(super) fn targets(&self) -> Result<Vec<Target>, LabError> {
        self.endpoints
            .iter()
            .map(|url| Target::parse(url))
            .collect()
    }

    /// Puts the options into a plan.
    pub(super) fn apply(&self, plan: &mut Plan, ignore_eos: bool) {
        plan.wire = Wire {
            api: self.api,
            stream: !self.no_stream,
            ignore_eos,
        };
        plan.headers = self.header_map();
        plan.timeout = Duration::from_secs(self.timeout.max(1));
        plan.max_in_flight = self.max_in_flight;
    }

    /// The endpoints in words.
    pub(super) fn whereto(&self) -> String {
        match self.endpoints.as_slice() {
            [one] => one.clone(),
            several => format!("{} endpoints, round robin", several.len()),
        }
    }

    pub(super) fn header_map(&self) -> HeaderMap {
        self.headers
            .iter()
            .map(|option| (option.name.clone(), option.value.clone()))
            .collect()
    }
}

/// A header given on the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderOption {
    name: HeaderName,
    value: HeaderValue,
}

impl FromStr for HeaderOption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The text may hold a key: no error repeats it.
        let (name, value) = text.split_once(':').ok_or("expected 'name: value'")?;
        let name = name
            .trim()
            .parse()
            .map_err(|_| "the part before ':' is not a header name")?;
        let mut value: HeaderValue = value
            .trim()
            .parse()
            .map_err(|_| "the part after ':' cannot be a header value")?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

impl fmt::Debug for HeaderOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: (hidden)", self.name)
    }
}
