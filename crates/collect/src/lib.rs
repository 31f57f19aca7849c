//! Collecting: who the model servers are, and what they say about themselves.
//!
//! [`Membership`] turns configured targets into sets of [`signals::Endpoint`]s, following DNS names
//! as they move. [`Scraper`] keeps the signals of those endpoints fresh.
//!
//! Invariants:
//!
//! - **An endpoint that does not change stays the same object**: its id, ledger and signals survive
//!   every update that leaves its name, address and labels alone.
//! - **Losing a source loses nothing else.** A name that stops resolving keeps its last addresses;
//!   a server that stops answering keeps its last signals, which age.
//! - **One task per endpoint, one connection, one request at a time.** A slow server delays only
//!   itself; ticks never pile up. The task ends with the endpoint.
//! - **Bounded**: bodies, addresses per name, names in the model list, time per request.
//! - **Logs tell changes.** Working and failing are each said once; counters tell how often.

mod clock;
mod connection;
mod membership;
mod models;
mod observer;
mod resolve;
mod scrape;
mod scraper;
mod stats;
mod target;
#[cfg(test)]
mod test_server;

pub use clock::Clock;
pub use membership::{Membership, MembershipOptions};
pub use observer::Observer;
pub use resolve::{Resolve, SystemResolver};
pub use scraper::{ScrapeOptions, Scraper};
pub use stats::{ScrapeFailure, ScrapeStats};
pub use target::Target;
