//! What happens to the fleet during a run: `TIME:ACTION`.

use std::str::FromStr;

use simulator::{Fault, Nanos};

use super::workload::nanos;
use crate::error::LabError;

/// Seconds that a server takes to come up when nothing is said.
const STARTUP_SECS: f64 = 30.0;

/// An action at a time of the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// When.
    pub(crate) at: Nanos,
    /// What.
    pub(crate) action: Action,
}

/// Something that happens to the fleet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    /// Servers of the fleet's last ones join; see [`starting`].
    Add { count: usize, startup_secs: f64 },
    /// The last servers get nothing new.
    Remove { count: usize },
    /// A server fails.
    Fault { node: usize, fault: Fault },
}

/// How many servers of the fleet are members at the start: those that join later are left out.
pub(crate) fn starting(fleet: usize, timeline: &[Timed]) -> usize {
    let (mut present, mut needed) = (0_isize, 0_isize);
    for timed in timeline {
        match timed.action {
            Action::Add { count, .. } => present += count as isize,
            Action::Remove { count } => present -= count as isize,
            Action::Fault { .. } => {}
        }
        needed = needed.max(present);
    }
    (fleet as isize - needed).max(1) as usize
}

/// Checks that what happens can happen to a fleet of that size.
///
/// # Errors
/// [`LabError::Plan`] for a server that is not there, or for more additions than servers.
pub(crate) fn check(timeline: &[Timed], fleet: usize) -> Result<(), LabError> {
    let (mut present, mut most) = (starting(fleet, timeline), 0);
    for timed in timeline {
        match timed.action {
            Action::Add { count, .. } => present += count,
            Action::Remove { count } if count >= present => {
                return Err(LabError::Plan(format!(
                    "--at: {count} servers leave when there are only {present}"
                )));
            }
            Action::Remove { count } => present -= count,
            Action::Fault { node, .. } if node >= fleet => {
                return Err(LabError::Plan(format!(
                    "--at: server {node} is not in the fleet; they are numbered 0 to {}",
                    fleet - 1
                )));
            }
            Action::Fault { .. } => {}
        }
        most = most.max(present);
    }
    if most > fleet {
        return Err(LabError::Plan(format!(
            "--at: up to {most} servers would be needed; the fleet has {fleet}, those that join \
             later included"
        )));
    }
    Ok(())
}

impl FromStr for Timed {
    type Err = String;

    /// Reads `SECONDS:ACTION`, where ACTION is `+N` (so many servers start, and join half a minute
    /// later), `-N`, `crash=SERVER,DOWN`, `hang=SERVER,LASTS`, `slow=SERVER,FACTOR,LASTS`,
    /// `errors=SERVER,SHARE,LASTS`, `stale=SERVER,LASTS`, `lost-events=SERVER,SHARE,LASTS` or
    /// `flush=SERVER`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (at, action) = text
            .split_once(':')
            .ok_or_else(|| format!("{text:?} is not SECONDS:ACTION, such as 300:crash=3,60"))?;
        let at: f64 = number(at)?;
        Ok(Self {
            at: nanos(at),
            action: parse(action)?,
        })
    }
}

fn parse(text: &str) -> Result<Action, String> {
    if let Some(count) = text.strip_prefix('+') {
        return Ok(Action::Add {
            count: number::<u16>(count)?.into(),
            startup_secs: STARTUP_SECS,
        });
    }
    if let Some(count) = text.strip_prefix('-') {
        let count = number::<u16>(count)?.into();
        return Ok(Action::Remove { count });
    }
    let (name, values) = text.split_once('=').unwrap_or((text, ""));
    let mut values = values.split(',');
    let mut next = |what: &str| {
        let value = values.next().filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("{text:?} lacks {what}"))
    };
    let node = number::<u16>(next("the server")?)?.into();
    let mut secs = |what: &str| next(what).and_then(number::<f64>);
    let fault = match name {
        "crash" => Fault::Crash {
            down: nanos(secs("the seconds it is down")?),
        },
        "hang" => Fault::Hang {
            lasts: nanos(secs("its seconds")?),
        },
        "slow" => Fault::Slow {
            factor: secs("the factor")?,
            lasts: nanos(secs("its seconds")?),
        },
        "errors" => Fault::Errors {
            share: secs("the share of requests")?,
            lasts: nanos(secs("its seconds")?),
        },
        "stale" => Fault::StaleMetrics {
            lasts: nanos(secs("its seconds")?),
        },
        "lost-events" => Fault::LostCacheChanges {
            share: secs("the share of events")?,
            lasts: nanos(secs("its seconds")?),
        },
        "flush" => Fault::FlushCache,
        _ => {
            return Err(format!(
                "no action {name:?}; known are +N, -N, crash, hang, slow, errors, stale, \
                 lost-events, flush"
            ));
        }
    };
    if values.next().is_some() {
        return Err(format!("{text:?} has too many values"));
    }
    Ok(Action::Fault { node, fault })
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is not a number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn every_action_is_read() {
        let fault = |node, fault| Action::Fault { node, fault };
        let cases = [
            (
                "+4",
                Action::Add {
                    count: 4,
                    startup_secs: STARTUP_SECS,
                },
            ),
            ("-2", Action::Remove { count: 2 }),
            ("crash=3,60", fault(3, Fault::Crash { down: 60 * SECOND })),
            (
                "hang=0,1.5",
                fault(
                    0,
                    Fault::Hang {
                        lasts: SECOND * 3 / 2,
                    },
                ),
            ),
            (
                "slow=1,2.5,10",
                fault(
                    1,
                    Fault::Slow {
                        factor: 2.5,
                        lasts: 10 * SECOND,
                    },
                ),
            ),
            (
                "errors=1,0.5,10",
                fault(
                    1,
                    Fault::Errors {
                        share: 0.5,
                        lasts: 10 * SECOND,
                    },
                ),
            ),
            (
                "stale=1,10",
                fault(1, Fault::StaleMetrics { lasts: 10 * SECOND }),
            ),
            (
                "lost-events=1,0.1,9",
                fault(
                    1,
                    Fault::LostCacheChanges {
                        share: 0.1,
                        lasts: 9 * SECOND,
                    },
                ),
            ),
            ("flush=2", fault(2, Fault::FlushCache)),
        ];
        for (text, action) in cases {
            let timed: Timed = format!("300:{text}").parse().expect(text);
            assert_eq!(
                timed,
                Timed {
                    at: 300 * SECOND,
                    action
                },
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let cases = [
            ("crash=3,60", "is not SECONDS:ACTION"),
            ("x:+1", "\"x\" is not a number"),
            ("1:crash=3", "lacks the seconds it is down"),
            ("1:flush=1,2", "too many values"),
            ("1:melt=3", "no action \"melt\""),
        ];
        for (text, told) in cases {
            let error = text.parse::<Timed>().expect_err(text);
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn servers_that_join_later_are_not_there_at_first() {
        let timeline = |texts: &[&str]| -> Vec<Timed> {
            texts
                .iter()
                .map(|text| text.parse().expect("timed"))
                .collect()
        };
        assert_eq!(starting(16, &timeline(&[])), 16);
        assert_eq!(starting(16, &timeline(&["1:+4"])), 12);
        assert_eq!(starting(16, &timeline(&["1:-4", "2:+4"])), 16);
        assert_eq!(starting(16, &timeline(&["1:+4", "2:+2", "3:-6"])), 10);
    }
}
