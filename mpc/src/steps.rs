//! Progress for people, on stderr.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// What happens, one step after the other: a spinner on a terminal, a line a step elsewhere.
pub(crate) struct Steps {
    spinner: ProgressBar,
}

impl Steps {
    pub(crate) fn start() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let spinner = ProgressBar::new_spinner().with_style(style);
        spinner.enable_steady_tick(TURN);
        Self { spinner }
    }

    /// Shows what happens now.
    pub(crate) fn show(&self, text: &str) {
        self.spinner.set_message(text.to_owned());
    }

    /// Tells that a step is done.
    pub(crate) fn done(&self, text: &str) {
        if self.spinner.is_hidden() {
            eprintln!("{text}");
        } else {
            self.spinner.println(format!("✓ {text}"));
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.spinner.finish_and_clear();
    }
}
