//! The steps of one run: announced when they begin, timed, and listed at the end.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use convoy_output::notice;
use serde_json::json;

/// How a step ended well.
pub(crate) enum Ending {
    /// Its work was done.
    Done,
    /// There was nothing to do, because of this.
    AlreadyRight(String),
    /// It could not be done here and does not fail the run, because of this.
    NotRun(String),
}

struct Step {
    name: &'static str,
    outcome: &'static str,
    note: String,
    took: Duration,
}

/// The steps so far, in order.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

impl Steps {
    /// Announces a step and does it; `what` is one line for the reader.
    pub(crate) fn run(
        &mut self,
        name: &'static str,
        what: &str,
        work: impl FnOnce() -> Result<Ending>,
    ) -> Result<()> {
        notice(format_args!("==> {name}: {what}"));
        let begun = Instant::now();
        let result = work();
        let took = begun.elapsed();
        let (outcome, note) = match &result {
            Ok(Ending::Done) => ("done", String::new()),
            Ok(Ending::AlreadyRight(why)) => ("already right", why.clone()),
            Ok(Ending::NotRun(why)) => ("NOT RUN", why.clone()),
            Err(_) => ("FAILED", String::new()),
        };
        if !note.is_empty() {
            notice(format_args!("    {outcome}: {note}"));
        }
        self.done.push(Step {
            name,
            outcome,
            note,
            took,
        });
        result.map(drop)
    }

    /// Prints what was done and how long it took, to stderr; nothing where no step began.
    pub(crate) fn print_table(&self) {
        if self.done.is_empty() {
            return;
        }
        notice("");
        for line in self.table() {
            notice(line);
        }
    }

    fn table(&self) -> Vec<String> {
        let width = self
            .done
            .iter()
            .map(|step| step.name.len())
            .max()
            .unwrap_or(0);
        let row = |name: &str, took: Duration, outcome: &str, note: &str| {
            let text = format!("{name:width$}  {:>8}  {outcome}", shown(took));
            if note.is_empty() {
                text
            } else {
                format!("{text} ({note})")
            }
        };
        let mut lines: Vec<String> = self
            .done
            .iter()
            .map(|step| row(step.name, step.took, step.outcome, &step.note))
            .collect();
        lines.push(row(
            "total",
            self.done.iter().map(|step| step.took).sum(),
            "",
            "",
        ));
        lines
    }

    /// Writes the steps as one JSON object.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let steps: Vec<_> = self
            .done
            .iter()
            .map(|step| {
                json!({"name": step.name, "outcome": step.outcome, "note": step.note,
                       "seconds": step.took.as_secs_f64()})
            })
            .collect();
        let total: Duration = self.done.iter().map(|step| step.took).sum();
        let report = json!({"steps": steps, "seconds": total.as_secs_f64()});
        fs::write(path, format!("{report:#}\n"))
            .with_context(|| format!("cannot write the step times to {}", path.display()))
    }
}

fn shown(took: Duration) -> String {
    let seconds = (took + Duration::from_millis(500)).as_secs();
    match seconds {
        0..=9 => format!("{:.1} s", took.as_secs_f64()),
        10..=59 => format!("{seconds} s"),
        60.. => format!("{} m {:02} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_lists_every_step_also_the_failed_one() {
        let mut steps = Steps::default();
        steps
            .run("libtorch", "a", || {
                Ok(Ending::AlreadyRight("2.11.0".into()))
            })
            .unwrap();
        let failed = steps.run("clippy", "b", || anyhow::bail!("3 warnings"));
        assert_eq!(failed.unwrap_err().to_string(), "3 warnings");
        let table = steps.table().join("\n");
        assert!(table.contains("already right (2.11.0)"), "{table}");
        assert!(table.contains("clippy    "), "{table}");
        assert!(table.contains("FAILED"), "{table}");
        assert!(table.contains("total"), "{table}");
    }

    #[test]
    fn json_report_carries_names_outcomes_and_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.json");
        let mut steps = Steps::default();
        steps
            .run("advisories", "a", || Ok(Ending::NotRun("offline".into())))
            .unwrap();
        steps.write_json(&path).unwrap();
        let report: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(report["steps"][0]["name"], "advisories");
        assert_eq!(report["steps"][0]["outcome"], "NOT RUN");
        assert!(report["seconds"].is_f64());
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        assert_eq!(shown(Duration::from_millis(420)), "0.4 s");
        assert_eq!(shown(Duration::from_secs(42)), "42 s");
        assert_eq!(shown(Duration::from_secs(192)), "3 m 12 s");
    }
}
