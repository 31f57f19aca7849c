//! Plugins that read request headers, one a file.

mod agent_identity;
mod session_id;

use crate::Kind;

pub(crate) const KINDS: &[Kind] = &[agent_identity::KIND, session_id::KIND];
