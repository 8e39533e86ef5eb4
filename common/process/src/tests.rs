//! Real processes. A test that needs a child with code of ours starts this test binary again, as `role_in_a_child`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::sibling::beside;
use crate::{Child, MissingSibling, Orphaned, Spawner, die_with_parent, force_end_after};

/// Far beyond what any step takes on a busy machine; a condition that is not met by then never will be.
const DEADLINE: Duration = Duration::from_secs(60);

const ROLE: &str = "CONVOY_PROCESS_TEST_ROLE";
const FOLDER: &str = "CONVOY_PROCESS_TEST_FOLDER";

#[test]
fn exit_code_is_told_in_words() {
    let (sender, receiver) = mpsc::channel();
    let child = Spawner::start()
        .unwrap()
        .spawn(shell("exit 3"), move |exit| {
            sender.send(exit.clone()).unwrap()
        })
        .unwrap();
    assert_eq!(child.wait().how, "exit code 3");
    assert!(!child.wait().clean);
    assert_eq!(receiver.recv_timeout(DEADLINE).unwrap(), child.wait());
}

#[test]
fn success_is_clean() {
    assert!(start(shell("exit 0")).wait().clean);
}

#[test]
fn signal_is_told_in_words() {
    let child = start(shell("kill -SEGV $$"));
    let how = child.wait().how;
    assert!(how.starts_with("killed by signal 11 (SIGSEGV)"), "{how}");
}

#[test]
fn missing_program_is_named() {
    let error = Spawner::start()
        .unwrap()
        .spawn(Command::new("/nowhere/convoy-worker"), |_| ())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot start /nowhere/convoy-worker: No such file or directory (os error 2)"
    );
}

#[test]
fn stop_ends_a_child_that_obeys() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(ready_then_wait("trap 'exit 9' TERM", folder.path()));
    eventually("the child is ready", || {
        folder.path().join("ready").exists()
    });
    assert_eq!(child.stop(DEADLINE).how, "exit code 9");
    assert!(
        !child.signal(Signal::TERM).unwrap(),
        "nothing is left to signal"
    );
}

#[test]
fn stop_kills_a_child_that_ignores_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(ready_then_wait("trap '' TERM", folder.path()));
    eventually("the child is ready", || {
        folder.path().join("ready").exists()
    });
    assert_eq!(
        child.stop(Duration::ZERO).how,
        "killed by signal 9 (SIGKILL)"
    );
}

#[test]
fn child_leaves_the_process_group_of_the_terminal() {
    let child = start(shell(
        "read _ _ _ _ group _ < /proc/$$/stat; test $group = $$",
    ));
    assert_eq!(child.wait().how, "exit code 0");
}

#[test]
fn child_outlives_the_spawner() {
    let folder = tempfile::tempdir().unwrap();
    let child = start(role("obedient", folder.path()));
    eventually("the child is ready", || {
        folder.path().join("ready").exists()
    });
    fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(child.wait().how, "exit code 0");
}

#[test]
fn child_reads_the_input_that_it_was_given() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = shell("read line; exit $line");
    command.stdin(reader);
    let child = Spawner::start()
        .unwrap()
        .spawn_with_input(command, |_| {})
        .unwrap();
    writeln!(writer, "7").unwrap();
    assert_eq!(child.wait().how, "exit code 7");
}

#[test]
fn killed_parent_takes_its_children_along() {
    let folder = tempfile::tempdir().unwrap();
    let parent = start(role("parent", folder.path()));
    eventually("the grandchild is ready", || {
        folder.path().join("ready").exists()
    });
    let grandchild = fs::read_to_string(folder.path().join("ready")).unwrap();
    // The group of the parent does not hold the grandchild: only the kernel's signal can end it.
    parent.signal(Signal::KILL).unwrap();
    assert_eq!(parent.wait().how, "killed by signal 9 (SIGKILL)");
    eventually("the grandchild is gone", || !runs(grandchild.trim()));
}

#[test]
fn child_of_a_dead_parent_is_told_to_leave() {
    let exit = start(role("orphan", Path::new("/"))).wait();
    assert_eq!(exit.how, "exit code 0", "the role checks the error");
}

#[test]
fn process_that_hangs_on_its_way_out_is_ended() {
    let exit = start(role("hanging", Path::new("/"))).wait();
    assert_eq!(exit.how, "killed by signal 9 (SIGKILL)");
}

#[test]
fn sibling_is_found_only_when_it_can_run() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("convoy");
    fs::copy("/bin/sh", folder.path().join("convoy-agent")).unwrap();
    fs::write(folder.path().join("convoy-worker"), "no program").unwrap();
    assert_eq!(
        beside(&own, "convoy-agent").unwrap(),
        folder.path().join("convoy-agent")
    );
    for name in ["convoy-worker", "convoy-absent"] {
        let error = beside(&own, name).unwrap_err();
        assert!(matches!(error, MissingSibling::NotThere { .. }));
        assert!(
            error.to_string().contains("cargo xtask quickstart"),
            "{error}"
        );
    }
}

/// Not a test of its own: what the children of the tests above run.
#[test]
fn role_in_a_child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let parent = std::env::var("PARENT").unwrap().parse().unwrap();
    match role.as_str() {
        "parent" => {
            die_with_parent(parent, Signal::KILL).unwrap();
            let _child = start(self::role("child", &folder));
            wait_forever();
        }
        "child" => {
            die_with_parent(parent, Signal::KILL).unwrap();
            announce(&folder);
            wait_forever();
        }
        "obedient" => {
            die_with_parent(parent, Signal::KILL).unwrap();
            announce(&folder);
            eventually("the test says go", || folder.join("go").exists());
        }
        "orphan" => {
            let error = die_with_parent(u32::MAX, Signal::KILL).unwrap_err();
            assert!(
                matches!(
                    error,
                    Orphaned::ParentGone {
                        expected: u32::MAX,
                        ..
                    }
                ),
                "{error}"
            );
        }
        "hanging" => {
            force_end_after(Duration::ZERO).unwrap();
            wait_forever();
        }
        unknown => panic!("no role {unknown}"),
    }
}

fn announce(folder: &Path) {
    let partial = folder.join("partial");
    fs::write(&partial, std::process::id().to_string()).unwrap();
    fs::rename(partial, folder.join("ready")).unwrap();
}

fn wait_forever() -> ! {
    loop {
        thread::park();
    }
}

fn start(command: Command) -> Child {
    Spawner::start().unwrap().spawn(command, |_| ()).unwrap()
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

/// A shell that runs `setup`, says that it is ready, and waits for a signal.
fn ready_then_wait(setup: &str, folder: &Path) -> Command {
    let mut command = shell(&format!("{setup}; : > ready; while :; do sleep 0.01; done"));
    command.current_dir(folder);
    command
}

/// This test binary in another role. The shell takes the arguments of the spawner away from the test harness.
fn role(name: &str, folder: &Path) -> Command {
    let script = r#"export PARENT=$2; exec "$0" --exact tests::role_in_a_child --nocapture"#;
    let mut command = shell(script);
    command
        .arg(std::env::current_exe().unwrap())
        .stdout(Stdio::null())
        .env(ROLE, name)
        .env(FOLDER, folder);
    command
}

fn runs(pid: &str) -> bool {
    let number = Pid::from_raw(pid.parse().unwrap()).unwrap();
    // A zombie has ended; who inherited it decides when it vanishes.
    test_kill_process(number).is_ok()
        && fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
            !stat
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" Z"))
        })
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < DEADLINE, "never happened: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
