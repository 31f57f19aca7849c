//! What other processes cost, from `/proc`: CPU time, memory, context switches (Linux, proc(5)).

use std::path::PathBuf;
use std::time::Duration;

use crate::error::LabError;

/// Clock ticks per second of `/proc/PID/stat`; fixed by the kernel's interface to user space.
const TICKS_PER_SECOND: u64 = 100;

/// One reading of a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user and kernel mode, over all threads.
    pub cpu: Duration,
    /// Resident memory now, in bytes.
    pub resident: u64,
    /// The most it has been.
    pub resident_peak: u64,
    /// Times a thread gave up its CPU, and times it was taken away, over all threads alive.
    pub context_switches: u64,
}

impl Usage {
    /// Reads process `pid`.
    ///
    /// # Errors
    /// [`LabError::Read`] when there is no such process, or it may not be looked at.
    pub fn of(pid: u32) -> Result<Self, LabError> {
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path).map_err(|source| LabError::Read { path, source })
        };
        let root = PathBuf::from(format!("/proc/{pid}"));
        let stat = read(root.join("stat"))?;
        let status = read(root.join("status"))?;
        let mut switches = 0;
        if let Ok(threads) = std::fs::read_dir(root.join("task")) {
            for thread in threads.flatten() {
                // A thread may end while we look.
                let text = std::fs::read_to_string(thread.path().join("status"));
                switches += text.as_deref().map_or(0, switches_of);
            }
        }
        Ok(Self {
            cpu: cpu_of(&stat),
            resident: kilobytes(&status, "VmRSS:") * 1024,
            resident_peak: kilobytes(&status, "VmHWM:") * 1024,
            context_switches: switches,
        })
    }

    /// What was used between `earlier` and this reading. Memory is that of this reading.
    #[must_use]
    pub fn since(&self, earlier: &Usage) -> Usage {
        Usage {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            context_switches: self
                .context_switches
                .saturating_sub(earlier.context_switches),
            ..*self
        }
    }
}

/// The fields after the command's name, which may itself hold spaces and brackets.
fn cpu_of(stat: &str) -> Duration {
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15 of proc(5), the state being field 3.
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

fn kilobytes(status: &str, key: &str) -> u64 {
    field(status, key)
}

fn switches_of(status: &str) -> u64 {
    field(status, "voluntary_ctxt_switches:") + field(status, "nonvoluntary_ctxt_switches:")
}

fn field(status: &str, key: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_brackets() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(cpu_of(stat), Duration::from_secs(3));
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(kilobytes(status, "VmHWM:"), 2048);
        assert_eq!(switches_of(status), 10);
    }

    #[test]
    fn this_process_uses_something_and_a_missing_one_is_an_error() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 0 && usage.resident_peak >= usage.resident);
        assert!(Usage::of(u32::MAX).is_err());
    }
}
