//! Telling the user how a run is going: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::load::Live;

/// Between two lines when standard error is not a terminal.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// Shows [`Live`] values on standard error.
pub struct Progress {
    face: Face,
}

enum Face {
    Bar(ProgressBar),
    Lines { next: Duration },
    Quiet,
}

impl Progress {
    /// A bar if standard error is a terminal, else lines; nothing if `quiet`.
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let face = if quiet {
            Face::Quiet
        } else if std::io::stderr().is_terminal() {
            Face::Bar(bar())
        } else {
            Face::Lines { next: LINE_PERIOD }
        };
        Self { face }
    }

    /// Shows where the run is.
    pub fn show(&mut self, live: &Live) {
        match &mut self.face {
            Face::Bar(bar) => {
                bar.set_length(live.requests);
                bar.set_position(live.ended);
                bar.set_message(words(live));
            }
            Face::Lines { next } if live.elapsed >= *next || live.ended == live.requests => {
                *next = live.elapsed + LINE_PERIOD;
                let (ended, requests) = (live.ended, live.requests);
                // Nobody can be told when standard error is gone.
                let _ = writeln!(
                    std::io::stderr(),
                    "{ended}/{requests} requests, {}",
                    words(live)
                );
            }
            Face::Lines { .. } | Face::Quiet => {}
        }
    }

    /// Takes the bar away, so that the summary stands alone.
    pub fn end(self) {
        if let Face::Bar(bar) = self.face {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let template = "{bar:30} {pos}/{len} requests  {elapsed} (about {eta} left)  {msg}";
    // The template is a constant; were it wrong, the plain style would do.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

fn words(live: &Live) -> String {
    format!(
        "{} in flight, {} failed, TTFT p50 {:.1} ms real time",
        live.in_flight,
        live.failed,
        live.ttft_p50.as_secs_f64() * 1e3,
    )
}
