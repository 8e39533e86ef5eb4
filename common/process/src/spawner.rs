//! Starts children from one thread that lives as long as the process.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::process::Pid;

use crate::child::Child;
use crate::exit::ExitDescription;

/// The argument that the spawner appends, followed by the pid of the parent; see
/// [`die_with_parent`](crate::die_with_parent).
pub const PARENT_PID_FLAG: &str = "--parent-pid";

/// A child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The program could not be run.
    #[error("cannot start {program}: {source}")]
    Program {
        /// Its path.
        program: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A thread that is needed to start or to wait could not be started.
    #[error("cannot start the thread that {purpose}: {source}")]
    Thread {
        /// What it is for.
        purpose: &'static str,
        /// What the system answered.
        source: io::Error,
    },
}

/// What a child reads as its standard input.
#[derive(Clone, Copy)]
enum Input {
    Nothing,
    /// What the caller has set in the command.
    AsSet,
}

type OnExit = Box<dyn FnOnce(&ExitDescription) + Send>;

struct Request {
    command: Command,
    input: Input,
    on_exit: OnExit,
    answer: mpsc::SyncSender<Result<Child, SpawnError>>,
}

/// Starts children. Linux ties the signal on a parent's death to the *thread* that forked, so all children are forked by
/// one thread, which never ends. Start one spawner in a process and clone it.
#[derive(Clone, Debug)]
pub struct Spawner {
    requests: mpsc::Sender<Request>,
}

impl Spawner {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start() -> Result<Self, SpawnError> {
        let (requests, received) = mpsc::channel();
        // The thread holds a sender too: it must outlive every Spawner, because its end would kill the children.
        let keep_alive = requests.clone();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                let _keep_alive = keep_alive;
                serve(&received);
            })
            .map_err(|source| SpawnError::Thread {
                purpose: "starts children",
                source,
            })?;
        Ok(Self { requests })
    }

    /// Starts `command` with `--parent-pid PID` appended, an empty standard input, and a process group of its own, so
    /// that Ctrl-C in a terminal reaches only the parent, which then ends its children in order. `on_exit` is called
    /// once, from a thread of its own, after the child has been reaped.
    ///
    /// Blocks for the few milliseconds of fork and exec.
    ///
    /// # Errors
    /// If the program can't be run; `on_exit` is not called then.
    pub fn spawn(
        &self,
        command: Command,
        on_exit: impl FnOnce(&ExitDescription) + Send + 'static,
    ) -> Result<Child, SpawnError> {
        self.request(command, Input::Nothing, Box::new(on_exit))
    }

    /// As [`Spawner::spawn`], but with the standard input that `command` has been given: one end of a pipe, say.
    ///
    /// # Errors
    /// As [`Spawner::spawn`].
    pub fn spawn_with_input(
        &self,
        command: Command,
        on_exit: impl FnOnce(&ExitDescription) + Send + 'static,
    ) -> Result<Child, SpawnError> {
        self.request(command, Input::AsSet, Box::new(on_exit))
    }

    fn request(
        &self,
        command: Command,
        input: Input,
        on_exit: OnExit,
    ) -> Result<Child, SpawnError> {
        let program = PathBuf::from(command.get_program());
        let (answer, answered) = mpsc::sync_channel(1);
        let request = Request {
            command,
            input,
            on_exit,
            answer,
        };
        let gone = || SpawnError::Program {
            program,
            source: io::Error::other("the thread that starts children is gone"),
        };
        if self.requests.send(request).is_err() {
            return Err(gone());
        }
        answered.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn serve(requests: &mpsc::Receiver<Request>) {
    while let Ok(Request {
        command,
        input,
        on_exit,
        answer,
    }) = requests.recv()
    {
        // A caller who gave up still has its child waited for.
        let _ = answer.send(start(command, input, on_exit));
    }
}

fn start(mut command: Command, input: Input, on_exit: OnExit) -> Result<Child, SpawnError> {
    command
        .arg(PARENT_PID_FLAG)
        .arg(std::process::id().to_string())
        .process_group(0);
    match input {
        Input::Nothing => {
            command.stdin(Stdio::null());
        }
        Input::AsSet => {}
    }
    // The thread that waits comes first: a child that nobody waits for must not exist.
    let (hand_over, handed_over) = mpsc::sync_channel::<(Child, std::process::Child)>(1);
    thread::Builder::new()
        .name("child-waiter".to_owned())
        .spawn(move || {
            if let Ok((child, process)) = handed_over.recv() {
                on_exit(&child.reap(process));
            }
        })
        .map_err(|source| SpawnError::Thread {
            purpose: "waits for a child",
            source,
        })?;
    let process = command.spawn().map_err(|source| SpawnError::Program {
        program: PathBuf::from(command.get_program()),
        source,
    })?;
    let child = Child::new(Pid::from_child(&process));
    // The waiter ends only after it received.
    let _ = hand_over.send((child.clone(), process));
    Ok(child)
}
