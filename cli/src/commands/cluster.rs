//! `convoy cluster`: the coordinators, and changes of who they are.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use comfy_table::Table;
use convoy_client::{CoordinatorAddress, CoordinatorsClient};
use convoy_output::{answer, notice};
use convoy_proto::v1;
use serde::Serialize;

use super::block_on;
use crate::arguments::{ClusterArguments, ClusterCommand, OutputForm};
use crate::display::plain_table;
use crate::words::grouped;

/// Between two looks at a replacement.
const LOOK_PERIOD: Duration = Duration::from_millis(500);

/// Runs one of the commands.
pub(crate) fn cluster(arguments: &ClusterArguments) -> anyhow::Result<ExitCode> {
    let client = CoordinatorsClient::of(arguments.coordinators.caller()?);
    block_on(perform(&client, &arguments.command))?;
    Ok(ExitCode::SUCCESS)
}

async fn perform(client: &CoordinatorsClient, command: &ClusterCommand) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Status { output } => show(&client.status().await?, *output)?,
        ClusterCommand::Add { id, address } => {
            client.add(*id, address).await?;
            answer(format_args!(
                "coordinator {id} is added; it votes as soon as it has caught up"
            ));
        }
        ClusterCommand::Remove { id } => {
            client.remove(*id).await?;
            answer(format_args!(
                "coordinator {id} is removed; stop it, and use its id for no other"
            ));
        }
        ClusterCommand::Replace {
            old,
            new,
            address,
            timeout_s,
        } => {
            let limit = Duration::from_secs(*timeout_s);
            replace(client, *old, *new, address, limit).await?;
            answer(format_args!("coordinator {new} has taken {old}'s place"));
        }
        ClusterCommand::TransferLeader { to } => {
            let leader = client.transfer_leader(*to).await?;
            answer(format_args!("coordinator {leader} leads"));
        }
    }
    Ok(())
}

/// Asks for one step after the other, across leaders, until none is left.
async fn replace(
    client: &CoordinatorsClient,
    old: u64,
    new: u64,
    address: &CoordinatorAddress,
    limit: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut waits_for = String::new();
    while let Some(next) = client.replace(old, new, address).await? {
        if next != waits_for {
            notice(format_args!("waits for {next}"));
            waits_for = next;
        }
        if began.elapsed() > limit {
            bail!(
                "after {} s the replacement still waits for {waits_for}; it goes on when this command is given again",
                limit.as_secs()
            );
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
    Ok(())
}

fn show(status: &v1::StatusReply, output: OutputForm) -> anyhow::Result<()> {
    let shown = Shown::of(status);
    match output {
        OutputForm::Table => {
            answer(shown.headline());
            answer(shown.table());
        }
        OutputForm::Json => answer(serde_json::to_string_pretty(&shown)?),
    }
    Ok(())
}

/// What is shown, and its form as JSON.
#[derive(Debug, Serialize)]
struct Shown {
    /// Who says so.
    answered_by: u64,
    /// Null while none is known.
    leader: Option<u64>,
    term: u64,
    /// Entries of the log that are known to be committed.
    commit: u64,
    /// The committed cluster version.
    cluster_version: u32,
    coordinators: Vec<ShownMember>,
}

#[derive(Debug, Serialize)]
struct ShownMember {
    id: u64,
    /// voter, learner or leaving
    standing: &'static str,
    address: String,
    build: String,
    /// How far its log is the leader's; null where only the leader could say.
    matched: Option<u64>,
    /// leads, follows, silent, gets a snapshot; null where only the leader could say.
    state: Option<&'static str>,
}

impl Shown {
    fn of(status: &v1::StatusReply) -> Self {
        let members = status.members.iter();
        Self {
            answered_by: status.id,
            leader: status.leader,
            term: status.term,
            commit: status.commit,
            cluster_version: status.version,
            coordinators: members.map(|member| shown_member(member, status)).collect(),
        }
    }

    fn headline(&self) -> String {
        let (term, commit) = (self.term, grouped(self.commit));
        let leads = match self.leader {
            Some(leader) => format!("coordinator {leader} leads"),
            None => format!("no leader is known to coordinator {}", self.answered_by),
        };
        let version = self.cluster_version;
        format!("{leads}; term {term}, {commit} entries committed, cluster version {version}")
    }

    fn table(&self) -> Table {
        let mut table = plain_table(["ID", "STANDING", "STATE", "MATCHED", "BUILD", "ADDRESS"]);
        for member in &self.coordinators {
            let matched = member.matched.map_or_else(|| "-".to_owned(), grouped);
            table.add_row([
                member.id.to_string(),
                member.standing.to_owned(),
                member.state.unwrap_or("-").to_owned(),
                matched,
                member.build.clone(),
                member.address.clone(),
            ]);
        }
        table
    }
}

fn shown_member(member: &v1::CoordinatorMember, status: &v1::StatusReply) -> ShownMember {
    let standing = match member.standing() {
        v1::CoordinatorStanding::Voter => "voter",
        v1::CoordinatorStanding::Learner => "learner",
        v1::CoordinatorStanding::Leaving => "leaving",
        v1::CoordinatorStanding::Unspecified => "unknown",
    };
    let progress = member.progress.as_ref();
    let leads = status.leader == Some(member.id);
    let state = progress.map(|progress| match progress {
        v1::MemberProgress {
            needs_snapshot: true,
            ..
        } => "gets a snapshot",
        v1::MemberProgress {
            is_active: false, ..
        } => "silent",
        v1::MemberProgress { .. } => "follows",
    });
    ShownMember {
        id: member.id,
        standing,
        address: member.address.clone(),
        build: member.build.clone(),
        matched: progress
            .map(|progress| progress.matched)
            .or(leads.then_some(status.last_index)),
        state: state.or(leads.then_some("leads")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, progress: Option<v1::MemberProgress>) -> v1::CoordinatorMember {
        v1::CoordinatorMember {
            id,
            standing: v1::CoordinatorStanding::Voter.into(),
            address: format!("http://10.0.0.{id}:7700"),
            build: "0.1.0".to_owned(),
            supports: 1,
            progress,
        }
    }

    #[test]
    fn table_says_who_leads_and_who_is_silent() {
        let silent = v1::MemberProgress {
            matched: 1_200,
            is_active: false,
            needs_snapshot: false,
        };
        let status = v1::StatusReply {
            id: 2,
            leader: Some(2),
            term: 7,
            commit: 1_234,
            last_index: 1_234,
            version: 1,
            members: vec![member(1, Some(silent)), member(2, None)],
            ..Default::default()
        };
        let shown = Shown::of(&status);
        assert_eq!(
            shown.headline(),
            "coordinator 2 leads; term 7, 1,234 entries committed, cluster version 1"
        );
        let table = shown.table().to_string();
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            rows[1],
            [
                "1",
                "voter",
                "silent",
                "1,200",
                "0.1.0",
                "http://10.0.0.1:7700"
            ]
        );
        assert_eq!(
            rows[2],
            [
                "2",
                "voter",
                "leads",
                "1,234",
                "0.1.0",
                "http://10.0.0.2:7700"
            ]
        );
    }

    #[test]
    fn follower_says_what_it_knows() {
        let status = v1::StatusReply {
            id: 1,
            leader: None,
            members: vec![member(1, None), member(2, None)],
            ..Default::default()
        };
        let shown = Shown::of(&status);
        assert!(
            shown
                .headline()
                .starts_with("no leader is known to coordinator 1")
        );
        assert!(shown.coordinators.iter().all(|one| one.state.is_none()));
    }
}
