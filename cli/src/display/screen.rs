//! Puts lines and progress on the terminal or into a file.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use convoy_output::notice;
use convoy_proto::v1;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::narrator::Narrator;
use super::pace::Pace;
use super::progress::{self, Done};
use crate::summary::completed_epochs;

/// Smooth enough for an eye, and cheap.
const SPINNER_PERIOD: Duration = Duration::from_millis(120);

/// Where the user looks: standard error, so that standard output holds the closing table alone.
pub(crate) struct Screen {
    started: Instant,
    narrator: Narrator,
    progress: ProgressView,
}

enum ProgressView {
    /// One line at the bottom that is drawn again and again.
    Live(ProgressBar),
    /// A line now and then.
    Plain(Pace),
}

impl Screen {
    /// Live on a terminal unless `plain`; for a reader who is in `folder`; the clock of plain lines starts with the run.
    pub(crate) fn new(plain: bool, folder: PathBuf, started: Instant) -> Self {
        let progress = if plain || !stderr().is_terminal() {
            ProgressView::Plain(Pace::default())
        } else {
            ProgressView::Live(live_bar())
        };
        Self {
            started,
            narrator: Narrator::new(folder),
            progress,
        }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        match &self.progress {
            ProgressView::Live(bar) => bar.suspend(|| notice(line)),
            ProgressView::Plain(_) => notice(line),
        }
    }

    /// What is new in `view`, and how far it is.
    pub(crate) fn show(&mut self, view: &v1::JobView) {
        for line in self.narrator.tell(view) {
            self.say(&line);
        }
        let Some(status) = progress::status(view) else {
            return;
        };
        let progress = view.progress.clone().unwrap_or_default();
        let done = progress::done(&progress);
        let now = self.started.elapsed();
        match &mut self.progress {
            ProgressView::Live(bar) => draw(bar, done, status),
            ProgressView::Plain(pace) => {
                let milestone = (view.state(), completed_epochs(done.steps, &progress));
                if pace.is_due(now, milestone) {
                    self.say(&status);
                }
            }
        }
    }

    /// Takes the live line away.
    pub(crate) fn close(&self) {
        match &self.progress {
            ProgressView::Live(bar) => bar.finish_and_clear(),
            ProgressView::Plain(_) => {}
        }
    }
}

fn live_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(style("{spinner} {wide_msg}"));
    bar.enable_steady_tick(SPINNER_PERIOD);
    bar
}

fn draw(bar: &ProgressBar, done: Done, status: String) {
    if done.of > 0 {
        if bar.length().is_none() {
            bar.set_style(style("{spinner} {bar:10} {wide_msg}"));
        }
        bar.set_length(done.of);
        bar.set_position(done.steps);
    }
    bar.set_message(status);
}

fn style(template: &str) -> ProgressStyle {
    // Templates are constants of this file; a test parses them.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_can_be_parsed() {
        for template in ["{spinner} {wide_msg}", "{spinner} {bar:10} {wide_msg}"] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
