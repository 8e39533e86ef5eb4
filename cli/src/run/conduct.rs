//! From the start of the coordinator to the end of the last process.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use convoy_client::{CoordinatorAddress, Endpoints, JobsClient};
use convoy_coordinator::{Coordinator, CoordinatorSettings};
use convoy_process::force_end_after;

use super::agent::{AgentCommand, LocalAgent};
use super::follow::{Ending, Run, WorkersAt};
use super::interrupt::Interrupts;
use super::leftover::wait_until_gone;
use super::preflight::Checked;
use crate::display::Screen;
use crate::words::path_from;

/// The coordinator is in this process; only a machine that is out of everything needs longer.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Longer than all limits of an orderly end together: whatever hangs, the command ends.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(40);

/// Runs the job. Everything that was started has ended when this returns, also with an error.
pub(crate) async fn conduct(checked: &Checked, screen: &mut Screen) -> anyhow::Result<Ending> {
    // First, so that Ctrl-C finds the orderly end from here on.
    let interrupts = Interrupts::listen()?;
    let data = CoordinatorData::of(checked);
    let mut settings = CoordinatorSettings::embedded(data.folder.clone());
    settings.listen = checked.listen;
    settings.access = checked.access.clone();
    settings.first_job = checked.claim.number();
    let coordinator = Coordinator::start(settings).await?;
    let ending = with_coordinator(checked, screen, interrupts, coordinator.address()).await;
    coordinator.shutdown().await;
    ending
}

/// The coordinator's log, which nobody needs once the job is over. It is left only where this process is killed.
struct CoordinatorData {
    folder: PathBuf,
}

impl CoordinatorData {
    fn of(checked: &Checked) -> Self {
        let job = checked.work_dir.join(checked.claim.job().as_str());
        Self {
            folder: job.join("coordinator"),
        }
    }
}

impl Drop for CoordinatorData {
    fn drop(&mut self) {
        // There is none if the coordinator did not start. Whatever else hinders is no reason to fail a run that is over.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn with_coordinator(
    checked: &Checked,
    screen: &mut Screen,
    mut interrupts: Interrupts,
    address: SocketAddr,
) -> anyhow::Result<Ending> {
    let address = CoordinatorAddress::from(from_here(address));
    let coordinator = address.to_string();
    let endpoints = Endpoints::from(address).with_key(checked.access.key().cloned());
    let jobs = JobsClient::connect(&endpoints, CONNECT_LIMIT).await?;
    let job = jobs
        .submit(checked.spec_json.clone(), checked.workers)
        .await?;
    let watch = jobs.watch(&job).await?;
    let logs = checked.work_dir.join(job.as_str()).join("logs");
    convoy_files::ensure_folder(&logs)?;
    let mut agent = LocalAgent::start(AgentCommand {
        binary: &checked.agent_binary,
        coordinator,
        cluster_key: checked.cluster_key.as_deref(),
        slots: checked.workers,
        work_dir: &checked.work_dir,
        log: logs.join("agent.log"),
    })
    .context("cannot start the agent")?;
    screen.say(&format!(
        "agent started: pid {}, log {}",
        agent.pid(),
        path_from(&checked.folder, agent.log())
    ));
    let run = Run::new(
        jobs,
        job,
        watch,
        WorkersAt::Agent(&mut agent),
        &mut interrupts,
        screen,
    );
    let ending = run.follow().await;
    // Fails only where no thread can be started, and the limits below hold anyway.
    let _ = force_end_after(SHUTDOWN_LIMIT);
    stop(&mut agent, &mut interrupts).await;
    wait_until_gone(&ending.view).await;
    Ok(ending)
}

/// Where this machine reaches what listens on `address`.
fn from_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// In order, unless someone becomes impatient.
async fn stop(agent: &mut LocalAgent, interrupts: &mut Interrupts) {
    tokio::select! {
        _ = agent.stop() => return,
        _ = interrupts.next() => {}
    }
    // Refused only by a kernel that would also refuse the one that follows the grace.
    let _ = agent.kill().await;
}
