//! Feature gates.

use crate::decode::Fault;

use super::Dialect;

/// The feature gates, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// Flow control: requests queue at the picker while the pool is saturated. Default off.
    pub flow_control: bool,
    /// Followers keep their picture of the pool up to date. Default on.
    pub ha_populate_non_leader_datastore: bool,
    /// GIE v1.5's old metric names. Default off.
    pub enable_legacy_metrics: bool,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            flow_control: false,
            ha_populate_non_leader_datastore: true,
            enable_legacy_metrics: false,
        }
    }
}

impl Gates {
    /// Resolves gates as written. A gate given twice: the last one holds.
    pub(super) fn resolve(written: &[String], dialect: Dialect, faults: &mut Vec<Fault>) -> Self {
        let mut gates = Self::default();
        for (index, gate) in written.iter().enumerate() {
            if let Err(message) = gates.set(gate, dialect) {
                faults.push(Fault {
                    path: format!("featureGates[{index}]"),
                    message,
                });
            }
        }
        gates
    }

    fn set(&mut self, gate: &str, dialect: Dialect) -> Result<(), String> {
        let mut parts = gate.split('=');
        let name = parts.next().unwrap_or_default();
        // Text after a second `=` is ignored, as upstream does.
        let on = match parts.next() {
            None => true,
            Some(value) => truth(value).ok_or_else(|| {
                format!("`{value}` is not a valid value for the feature gate '{name}', want true or false")
            })?,
        };
        match (name, dialect) {
            ("flowControl", _) => self.flow_control = on,
            ("haPopulateNonLeaderDatastore", _) => self.ha_populate_non_leader_datastore = on,
            ("enableLegacyMetrics", Dialect::Gie) => self.enable_legacy_metrics = on,
            // The data layer is always on.
            ("dataLayer", Dialect::Gie) => {}
            _ => {
                let known = match dialect {
                    Dialect::LlmD => "flowControl, haPopulateNonLeaderDatastore",
                    Dialect::Gie => {
                        "flowControl, haPopulateNonLeaderDatastore, dataLayer, enableLegacyMetrics"
                    }
                };
                return Err(format!(
                    "feature gate '{name}' is unknown or unregistered, want one of {known}"
                ));
            }
        }
        Ok(())
    }
}

/// The words Go's `ParseBool` takes, in any case and with spaces around.
fn truth(value: &str) -> Option<bool> {
    match value.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}
