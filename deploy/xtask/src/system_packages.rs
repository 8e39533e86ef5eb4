//! Programs that come from the distribution: a C++ compiler, make, Python, pip, and those that tests run.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};
use convoy_output::notice;

use crate::commands;
use crate::steps::Ending;

/// What set-up is about to need.
pub(crate) struct Needs {
    /// pip, to fetch libtorch.
    pub(crate) pip: bool,
    /// Python alone, in case the dataset comes over HTTPS.
    pub(crate) python: bool,
}

struct Program {
    /// For messages.
    name: &'static str,
    /// Debian's and Ubuntu's package of it.
    package: &'static str,
    is_there: bool,
}

/// Installs what is missing as root, or names the one line that does.
pub(crate) fn establish(needs: &Needs) -> Result<Ending> {
    provide(&programs(needs))
}

/// The same for what tests run beside our own programs.
pub(crate) fn establish_for_tests() -> Result<Ending> {
    provide(&programs_of_tests())
}

fn provide(programs: &[Program]) -> Result<Ending> {
    let missing = missing(programs);
    if missing.is_empty() {
        return Ok(Ending::AlreadyRight("nothing is missing".to_owned()));
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    if !commands::works("apt-get", &["--version"]) {
        bail!(
            "missing here: {}; install them with your package manager, then run the command again",
            names.join(", ")
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "missing here: {}; run this line, then the command again:\n  sudo apt-get update && sudo apt-get install -y {}",
            names.join(", "),
            packages.join(" ")
        );
    }
    notice(format_args!("    installing {}", packages.join(" ")));
    install(&packages)?;
    Ok(Ending::Done)
}

fn programs(needs: &Needs) -> Vec<Program> {
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let mut programs = vec![
        Program {
            name: "a C++ compiler",
            package: "g++",
            is_there: commands::works(&compiler, &["--version"]),
        },
        // The build script of tikv-jemalloc-sys calls it.
        Program {
            name: "make",
            package: "make",
            is_there: commands::works("make", &["--version"]),
        },
    ];
    if needs.pip || needs.python {
        let is_there = commands::works("python3", &["--version"]);
        programs.push(Program {
            name: "Python 3",
            package: "python3",
            is_there,
        });
    }
    if needs.pip {
        let is_there = commands::works("python3", &["-m", "pip", "--version"]);
        programs.push(Program {
            name: "pip",
            package: "python3-pip",
            is_there,
        });
    }
    programs
}

/// They make hosts of their own on this machine: network namespaces, and links between them.
fn programs_of_tests() -> [Program; 2] {
    [
        Program {
            name: "ip",
            package: "iproute2",
            is_there: commands::works("ip", &["-V"]),
        },
        Program {
            name: "unshare and nsenter",
            package: "util-linux",
            is_there: commands::works("unshare", &["--version"])
                && commands::works("nsenter", &["--version"]),
        },
    ]
}

fn missing(programs: &[Program]) -> Vec<&Program> {
    programs
        .iter()
        .filter(|program| !program.is_there)
        .collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        commands::capture(&mut command, &format!("apt-get {}", arguments[0]))
    };
    let arguments = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    // Lists that were never fetched, or are out of date, are the usual reason to fail.
    apt(&arguments)
        .or_else(|_| apt(&["update"]).and_then(|_| apt(&arguments)))
        .map(drop)
        .with_context(|| {
            format!(
                "{} could not be installed; run the command again once apt-get can",
                packages.join(", ")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_there_is_missing() {
        let there = Program {
            name: "a",
            package: "pa",
            is_there: true,
        };
        let absent = Program {
            name: "b",
            package: "pb",
            is_there: false,
        };
        let programs = [there, absent];
        let missing: Vec<_> = missing(&programs)
            .iter()
            .map(|program| program.package)
            .collect();
        assert_eq!(missing, ["pb"]);
    }

    #[test]
    fn pip_is_needed_only_to_fetch_libtorch() {
        let packages = |needs: Needs| {
            programs(&needs)
                .iter()
                .map(|program| program.package)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            packages(Needs {
                pip: false,
                python: false
            }),
            ["g++", "make"]
        );
        assert_eq!(
            packages(Needs {
                pip: false,
                python: true
            }),
            ["g++", "make", "python3"]
        );
        assert_eq!(
            packages(Needs {
                pip: true,
                python: false
            }),
            ["g++", "make", "python3", "python3-pip"]
        );
    }
}
