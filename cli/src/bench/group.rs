//! One contender: processes that work together, as the conductor sees them.
//!
//! A group does one turn at a time and waits, blocked on its input, while others have theirs. **Invariant:** a group that
//! is dropped leaves no process; the kernel sees to the same when this process dies.

use std::io::{PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use convoy_process::{Child, Signal, Spawner};
use futures::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::watch;
use tokio::time::timeout;

/// A line of times: a few thousand numbers.
const MAX_LINE_BYTES: u64 = 256 << 10;
/// What is kept of a member's standard error: the end of a Python traceback.
const MAX_ERROR_BYTES: usize = 3_000;
/// Importing PyTorch takes ten seconds on a cold disk; more than this is a hang.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Ends of processes after their input ended, and after a kill.
const END_LIMIT: Duration = Duration::from_secs(10);
/// From a member's end to the end of what it wrote: it lies in a pipe.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// What a member answers to a turn.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Answer {
    /// Timed portions of the turn.
    pub(super) seconds: Vec<f64>,
    /// Results that differ from the reference.
    #[serde(default)]
    pub(super) wrong: u64,
    /// The last loss, so that one can see that all train the same.
    #[serde(default)]
    pub(super) loss: Option<f64>,
    /// Mean seconds of a step by part, of contenders that know.
    #[serde(default)]
    pub(super) parts: Option<Parts>,
}

/// Mean seconds of a step by part; see `convoy_training::StepTimes`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct Parts {
    /// Waiting for batches.
    pub(super) data: f64,
    pub(super) forward: f64,
    pub(super) backward: f64,
    /// Waiting for reductions that backward did not hide.
    pub(super) reduction: f64,
    pub(super) update: f64,
}

#[derive(Deserialize)]
struct Listening {
    listening: String,
}

#[derive(Deserialize)]
struct Ready {
    ready: Value,
}

/// Processes that work together.
pub(super) struct Group {
    name: String,
    members: Vec<Member>,
    facts: Value,
}

impl Group {
    /// Starts `world` processes, introduces them to each other and waits until all are ready.
    pub(super) async fn start(
        spawner: &Spawner,
        name: &str,
        world: u32,
        command: impl Fn() -> Command,
    ) -> anyhow::Result<Self> {
        let start = |rank: u32| {
            let mut command = command();
            command.args(["--rank", &rank.to_string(), "--world", &world.to_string()]);
            Member::start(spawner, format!("{name}, process {rank}"), command)
        };
        let mut members = (0..world).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let hear = members
            .iter_mut()
            .map(|member| member.hear::<Listening>(START_LIMIT));
        let listening = try_join_all(hear).await?;
        let addresses: Vec<_> = listening.into_iter().map(|heard| heard.listening).collect();
        let mut group = Self {
            name: name.to_owned(),
            members,
            facts: Value::Null,
        };
        let ready: Vec<Ready> = group
            .ask(&json!({ "peers": addresses }), START_LIMIT)
            .await?;
        group.facts = ready
            .into_iter()
            .next()
            .map_or(Value::Null, |first| first.ready);
        Ok(group)
    }

    /// What it is and what it said of itself: its versions.
    pub(super) fn facts(&self) -> Value {
        json!({ "name": self.name, "processes": self.members.len(), "facts": self.facts })
    }

    /// One turn of every member; their answers by rank.
    pub(super) async fn turn(
        &mut self,
        turn: &impl Serialize,
        limit: Duration,
    ) -> anyhow::Result<Vec<Answer>> {
        let answers: Vec<Answer> = self.ask(turn, limit).await?;
        if answers.iter().any(|answer| answer.seconds.is_empty()) {
            bail!("{} answered without a time", self.name);
        }
        Ok(answers)
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &mut self,
        question: &impl Serialize,
        limit: Duration,
    ) -> anyhow::Result<Vec<T>> {
        let mut line = serde_json::to_vec(question)?;
        line.push(b'\n');
        let line = line.as_slice();
        // At once, because one that dies must not leave this waiting for those that wait for it.
        let ask = self.members.iter_mut().map(|member| async move {
            member.tell(line).await?;
            member.hear(limit).await
        });
        try_join_all(ask).await
    }

    /// Ends the input of all members and waits for their end, which is part of what is tested.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let ends = self.members.into_iter().map(Member::end);
        join_all(ends).await.into_iter().collect()
    }
}

struct Member {
    name: String,
    child: Child,
    input: Option<Sender>,
    output: BufReader<Receiver>,
    errors: Arc<Mutex<Vec<u8>>>,
    /// Closed once all of them were read.
    errors_end: watch::Receiver<()>,
}

impl Member {
    fn start(spawner: &Spawner, name: String, mut command: Command) -> anyhow::Result<Self> {
        let pipes = || format!("cannot make the pipes of {name}");
        let (for_input, input) = pipe().with_context(pipes)?;
        let (output, for_output) = pipe().with_context(pipes)?;
        let (error_output, for_errors) = pipe().with_context(pipes)?;
        command
            // One thread each, whatever a library takes for its default.
            .env("OMP_NUM_THREADS", "1")
            .env("MKL_NUM_THREADS", "1")
            .stdin(Stdio::from(for_input))
            .stdout(Stdio::from(for_output))
            .stderr(Stdio::from(for_errors));
        let input = Sender::from_owned_fd(OwnedFd::from(input)).with_context(pipes)?;
        let output = Receiver::from_owned_fd(OwnedFd::from(output)).with_context(pipes)?;
        let errors = Arc::new(Mutex::new(Vec::new()));
        let errors_end = keep_end(error_output, Arc::clone(&errors)).with_context(pipes)?;
        let child = spawner.spawn_with_input(command, |_| {})?;
        Ok(Self {
            name,
            child,
            input: Some(input),
            output: BufReader::new(output),
            errors,
            errors_end,
        })
    }

    async fn tell(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let told = match self.input.as_mut() {
            Some(input) => input.write_all(line).await.is_ok(),
            None => false,
        };
        if told {
            Ok(())
        } else {
            Err(self.ended().await)
        }
    }

    async fn hear<T: for<'a> Deserialize<'a>>(&mut self, limit: Duration) -> anyhow::Result<T> {
        let mut line = String::new();
        let mut limited = (&mut self.output).take(MAX_LINE_BYTES);
        let Ok(read) = timeout(limit, limited.read_line(&mut line)).await else {
            bail!(
                "{} gave no answer within {} s{}",
                self.name,
                limit.as_secs(),
                self.last_words()
            );
        };
        let read = read.with_context(|| format!("cannot hear {}", self.name))?;
        if read == 0 {
            return Err(self.ended().await);
        }
        serde_json::from_str(&line)
            .with_context(|| format!("{} answered {:?}", self.name, shortened(&line)))
    }

    async fn ended(&self) -> anyhow::Error {
        let how = match self.exit().await {
            Some(exit) => exit,
            None => "stopped answering".to_owned(),
        };
        let mut errors = self.errors_end.clone();
        let read = async { while errors.changed().await.is_ok() {} };
        // What was read by then is told, whoever else holds the pipe open.
        let _ = timeout(LAST_WORDS_LIMIT, read).await;
        anyhow!("{} ended ({how}){}", self.name, self.last_words())
    }

    async fn exit(&self) -> Option<String> {
        let child = self.child.clone();
        let waited = tokio::task::spawn_blocking(move || child.wait_for(END_LIMIT)).await;
        waited.ok().flatten().map(|exit| exit.how)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        drop(self.input.take());
        if self.exit().await.is_none() {
            bail!(
                "{} did not end with its input{}",
                self.name,
                self.last_words()
            );
        }
        match self.child.exit() {
            Some(exit) if exit.clean => Ok(()),
            Some(_) | None => Err(self.ended().await),
        }
    }

    fn last_words(&self) -> String {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&errors);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        if lines.is_empty() {
            String::new()
        } else {
            format!("; its last words:\n  {}", lines.join("\n  "))
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Refused only for processes that are not ours; one that is killed is gone at once.
        if self.child.signal(Signal::KILL).unwrap_or(false) {
            let _ = self.child.wait_for(END_LIMIT);
        }
    }
}

/// Keeps the end of what a member writes to its standard error, on a thread that ends with the member.
/// What is returned closes when all is read.
fn keep_end(pipe: PipeReader, kept: Arc<Mutex<Vec<u8>>>) -> std::io::Result<watch::Receiver<()>> {
    let (reading, end) = watch::channel(());
    let read = move || {
        use std::io::Read;
        let _reading = reading;
        let mut pipe = pipe;
        let mut portion = [0; 1_024];
        while let Ok(length @ 1..) = pipe.read(&mut portion) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend_from_slice(&portion[..length]);
            let surplus = kept.len().saturating_sub(MAX_ERROR_BYTES);
            kept.drain(..surplus);
        }
    };
    std::thread::Builder::new()
        .name("member-errors".to_owned())
        .spawn(read)
        .map(|_| end)
}

fn shortened(line: &str) -> String {
    line.trim_end().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
