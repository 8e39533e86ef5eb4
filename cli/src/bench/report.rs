//! What every benchmark begins and ends with: where it runs, against what, and the file.

use std::path::PathBuf;

use convoy_output::{answer, notice};
use convoy_process::Spawner;
use serde_json::{Value, json};

use super::arguments::{CommonArguments, FileArguments};
use super::machine::Machine;
use super::python::Python;
use super::statistics::Spread;
use crate::result_file;

/// A benchmark in progress.
pub(super) struct Report {
    machine: Machine,
    python: Option<Python>,
    rounds: u32,
    file: Option<PathBuf>,
}

impl Report {
    /// Looks at the machine, for a Python, and whether the file can be written.
    pub(super) async fn begin(
        arguments: &CommonArguments,
        spawner: &Spawner,
    ) -> anyhow::Result<Self> {
        let mut report = Self::without_python(arguments.rounds.get(), &arguments.file)?;
        report.python = Python::find(&arguments.python, spawner).await?;
        Ok(report)
    }

    /// The same for contenders that are no scripts.
    pub(super) fn without_python(rounds: u32, file: &FileArguments) -> anyhow::Result<Self> {
        let file = file.json.clone();
        if let Some(file) = &file {
            result_file::check("--json", file)?;
        }
        let machine = Machine::look();
        notice(machine.summary());
        Ok(Self {
            machine,
            python: None,
            rounds,
            file,
        })
    }

    /// What runs the contenders of Python, if they are wanted.
    pub(super) fn python(&self) -> Option<&Python> {
        self.python.as_ref()
    }

    /// Writes the file, if one is wanted: `figures` and what they depend on.
    pub(super) fn write(&self, mut figures: Value) -> anyhow::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        figures["machine"] = json!(self.machine);
        figures["rounds"] = json!(self.rounds);
        figures["versions"] = json!({
            "convoy": env!("CARGO_PKG_VERSION"),
            "torch": self.python.as_ref().map(|_| Python::torch()),
        });
        result_file::write(file, &figures)?;
        answer(format_args!("every time is in {}", file.display()));
        Ok(())
    }
}

/// `1.25 [1.10 - 1.31]`.
pub(super) fn ratio_text(ratio: Spread) -> String {
    format!("{:.2} [{:.2} - {:.2}]", ratio.median, ratio.min, ratio.max)
}
