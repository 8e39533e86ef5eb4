//! The Python that the contenders run in: one that is named, or the benchmark's own virtual environment.

use std::io::{Read, pipe};
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use convoy_output::notice;
use convoy_process::{Child, Signal, Spawner};

use super::arguments::PythonArguments;

/// The PyTorch that Convoy links, and therefore the one to compare with.
const TORCH: &str = "2.11.0";
/// Made on first use.
const OWN_ENVIRONMENT: &str = ".tools/bench-venv";
const PROTOCOL: &str = include_str!("protocol.py");
const ENVIRONMENT: &str = include_str!("environment.py");

/// A Python with the right PyTorch.
#[derive(Clone, Debug)]
pub(super) struct Python {
    program: PathBuf,
}

impl Python {
    /// The version of its PyTorch.
    pub(super) fn torch() -> &'static str {
        TORCH
    }

    /// The one that the arguments ask for; `None` if they want none. Makes the benchmark's own on first use.
    ///
    /// # Errors
    /// If it has not the right PyTorch, or none could be installed.
    pub(super) async fn find(
        arguments: &PythonArguments,
        spawner: &Spawner,
    ) -> anyhow::Result<Option<Self>> {
        if arguments.without_python {
            return Ok(None);
        }
        let own = absolute(OWN_ENVIRONMENT).context("the working directory is gone")?;
        let program = match &arguments.python {
            Some(named) if named.components().count() > 1 => absolute(named)?,
            Some(named) => named.clone(),
            None => own.join("bin/python"),
        };
        let python = Self { program };
        if arguments.python.is_none() && python.check(spawner).await.is_err() {
            install(spawner, &own).await?;
        }
        python.check(spawner).await?;
        Ok(Some(python))
    }

    /// A contender's script, with what all of them share before it.
    pub(super) fn command(&self, script: &str) -> Command {
        let mut command = Command::new(&self.program);
        // Isolated: whatever a user has set for Python does not reach a measurement.
        command
            .args(["-I", "-c"])
            .arg(format!("{PROTOCOL}{script}"));
        command
    }

    async fn check(&self, spawner: &Spawner) -> anyhow::Result<()> {
        let program = self.program.display();
        let answer = run(spawner, self.command(ENVIRONMENT), &[], Errors::Kept)
            .await
            .with_context(|| format!("{program} is no Python with PyTorch {TORCH}"))?;
        let found = answer.trim();
        ensure!(
            found.split('+').next() == Some(TORCH),
            "{program} has PyTorch {found}, the comparison is with {TORCH}: name another with --python"
        );
        Ok(())
    }
}

async fn install(spawner: &Spawner, folder: &Path) -> anyhow::Result<()> {
    notice(format_args!(
        "first use: installing PyTorch {TORCH} and NumPy into {} (several GB); --python names one that is there already, \
         --without-python leaves it out",
        folder.display()
    ));
    if let Some(tools) = folder.parent() {
        convoy_files::ensure_folder(tools)?;
    }
    let system = Python {
        program: PathBuf::from("python3"),
    };
    let folder_name = folder.display().to_string();
    let torch = format!("torch=={TORCH}");
    let arguments = ["--install", folder_name.as_str(), torch.as_str(), "numpy"];
    run(spawner, system.command(ENVIRONMENT), &arguments, Errors::Shown)
        .await
        .with_context(|| {
            format!(
                "could not install PyTorch {TORCH} into {folder_name} (is there a network?): name a Python that has it with \
                 --python, or leave it out with --without-python"
            )
        })?;
    Ok(())
}

/// What happens to the standard error of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errors {
    Shown,
    Kept,
}

/// Runs a script to its end; what it printed. Dropped meanwhile, it kills the script.
async fn run(
    spawner: &Spawner,
    mut command: Command,
    arguments: &[&str],
    errors: Errors,
) -> anyhow::Result<String> {
    let (output, for_output) = pipe()?;
    // Each end that this process kept would keep `output` from ending.
    match errors {
        Errors::Shown => command.stderr(Stdio::inherit()),
        Errors::Kept => command.stderr(Stdio::from(for_output.try_clone()?)),
    };
    command.args(arguments).stdout(Stdio::from(for_output));
    let script = Script(spawner.spawn(command, |_| {})?);
    let child = script.0.clone();
    let read = move || {
        let mut text = Vec::new();
        // What can't be read is missed below, where the exit code tells more.
        let _ = output.take(MAX_OUTPUT_BYTES).read_to_end(&mut text);
        (String::from_utf8_lossy(&text).into_owned(), child.wait())
    };
    let (text, exit) = tokio::task::spawn_blocking(read).await?;
    if !exit.clean {
        let last: Vec<_> = text.trim().lines().rev().take(3).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        bail!("Python ended ({exit})\n  {}", last.join("\n  "));
    }
    Ok(text)
}

/// A traceback, or a version.
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        // It has mostly ended.
        let _ = self.0.signal(Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn script_ends_whatever_becomes_of_its_errors() {
        let spawner = Spawner::start().unwrap();
        for errors in [Errors::Shown, Errors::Kept] {
            let mut command = Command::new("sh");
            command.args(["-c", "echo done"]);
            let text = run(&spawner, command, &[], errors).await.unwrap();
            assert_eq!(text.trim(), "done", "{errors:?}");
        }
    }
}
