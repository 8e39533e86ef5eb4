//! Other programs: run with their output shown or captured, and errors that say how to repeat them.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// Lines of a failed program's output that an error repeats; enough for pip's and apt's reasons.
const SHOWN_LINES: usize = 12;

/// Another program's failure that this one passes on with the same exit code.
#[derive(Debug)]
pub(crate) struct PassedOn {
    /// What failed and how.
    pub(crate) reason: String,
    /// 1 to 255.
    pub(crate) code: u8,
}

impl fmt::Display for PassedOn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.reason)
    }
}

impl std::error::Error for PassedOn {}

/// The exit code for an error: that of the program it came from, else 1.
pub(crate) fn exit_code_of(error: &anyhow::Error) -> ExitCode {
    error
        .downcast_ref::<PassedOn>()
        .map_or(ExitCode::FAILURE, |passed| ExitCode::from(passed.code))
}

/// Runs a program that prints for itself; an error names the command that repeats it.
pub(crate) fn run(command: &mut Command, subject: &str) -> Result<()> {
    let status = command
        .status()
        .with_context(|| not_started(command, subject))?;
    if status.success() {
        return Ok(());
    }
    bail!(
        "{subject} failed ({}); to repeat only this:\n  {}",
        how(status),
        line(command)
    )
}

/// Runs a program and returns what it printed to stdout; an error ends with the last lines of both streams.
pub(crate) fn capture(command: &mut Command, subject: &str) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| not_started(command, subject))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(stdout.into_owned());
    }
    let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    bail!(
        "{subject} failed ({}): {}\n    {}",
        how(output.status),
        line(command),
        last.join("\n    ")
    )
}

/// Whether a program can be started and ends well; its output is of no interest.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// "exit code 3" or "killed by signal 9".
pub(crate) fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The exit code a shell would show for `status`.
pub(crate) fn shell_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// The command as one would type it, set variables in front.
pub(crate) fn line(command: &Command) -> String {
    let mut words: Vec<String> = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!(
                "{}={}",
                name.to_string_lossy(),
                quoted(&value.to_string_lossy())
            ));
        }
    }
    let program = Path::new(command.get_program());
    let shown = if program.file_name().is_some_and(|name| name == "cargo") {
        "cargo".to_owned()
    } else {
        program.display().to_string()
    };
    words.push(quoted(&shown));
    words.extend(
        command
            .get_args()
            .map(|argument| quoted(&argument.to_string_lossy())),
    );
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@,+%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn not_started(command: &Command, subject: &str) -> String {
    format!(
        "{subject}: cannot start {}",
        command.get_program().to_string_lossy()
    )
}

/// Whether the error says that the program itself is missing.
pub(crate) fn is_missing_program(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|source| source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failed_capture_shows_the_reason_the_program_gave() {
        let error = capture(
            &mut shell("echo no route to host >&2; exit 7"),
            "the download",
        )
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the download failed (exit code 7)"), "{text}");
        assert!(text.contains("no route to host"), "{text}");
    }

    #[test]
    fn failed_run_names_the_command_that_repeats_it() {
        let mut command = shell("exit 3");
        command.env("BINARIES", "/a b");
        let text = run(&mut command, "unit tests").unwrap_err().to_string();
        assert!(text.contains("unit tests failed (exit code 3)"), "{text}");
        assert!(text.contains("BINARIES='/a b' sh -c 'exit 3'"), "{text}");
    }

    #[test]
    fn missing_program_is_told_from_a_failing_one() {
        let missing = capture(&mut Command::new("no-such-program-here"), "x").unwrap_err();
        assert!(is_missing_program(&missing));
        assert!(!is_missing_program(
            &capture(&mut shell("exit 1"), "x").unwrap_err()
        ));
    }

    #[test]
    fn exit_code_of_a_killed_program_is_the_one_shells_show() {
        assert_eq!(shell_code(shell("exit 4").status().unwrap()), 4);
        assert_eq!(
            shell_code(shell("kill -TERM $$").status().unwrap()),
            128 + 15
        );
    }
}
