//! Coordinators that are killed at any moment while clients write and read: nothing that was acknowledged is lost, nothing
//! is done twice, and what clients see could have come from one coordinator that does one thing at a time.
//!
//! `CONVOY_CHAOS_SEED=N` draws the same rounds again, `CONVOY_CHAOS_ROUNDS=N` so many of them; what happens between processes
//! is as it comes.

mod clients;

mod ledger;
mod rounds;

use std::fs;

use harness::random::{Random, new_seed, number_from};

use crate::cluster::Cluster;
use clients::{Client, Shared};
use rounds::Rounds;

const SEED: &str = "CONVOY_CHAOS_SEED";
const ROUNDS: &str = "CONVOY_CHAOS_ROUNDS";

/// Rounds that every change has to pass.
const USUAL: u64 = 15;
/// In the long run of the tests.
const LONG: u64 = 1_000;

/// Commands of the test that a cluster is put back to an older state.
const FEW: u64 = 20;

#[test]
fn coordinators_that_are_killed_lose_nothing_and_do_nothing_twice() {
    survive(number_from(ROUNDS).unwrap_or(USUAL));
}

#[test]
#[ignore = "half an hour"]
fn long_coordinators_that_are_killed_a_thousand_times_lose_nothing() {
    survive(LONG);
}

fn survive(rounds: u64) {
    let seed = number_from(SEED).unwrap_or_else(new_seed);
    println!("{rounds} rounds of seed {seed}: {SEED}={seed} draws them again");
    let mut cluster = Cluster::start();
    let mut all = Rounds::new(&mut cluster, seed);
    for number in 0..rounds {
        all.run(number);
    }
    let seen = all.end();
    println!("{seen:?}");
    assert!(
        seen.answered >= rounds * rounds::LEAST_ANSWERED,
        "{seen:?}: too few commands for {rounds} rounds"
    );
    assert!(
        seen.lost > 0 && seen.reads > 0 && seen.submissions > 0,
        "{seen:?}: something was not tried"
    );
}

/// Shows that the test above can fail: here all coordinators forget what they acknowledged.
#[test]
fn writes_that_all_coordinators_forget_are_found_out() {
    let mut cluster = Cluster::start();
    let shared = Shared::new(cluster.submit("notes"));
    let mut client = Client::new(1, cluster.client(), Random::new(1), &shared);
    cluster.wait_on(async { client.write_times(FEW).await });
    cluster.kill_all();
    for id in cluster.coordinators.ids() {
        copy(&cluster.coordinators.data(id), &older(&cluster, id));
    }
    cluster.restart_all();
    cluster.wait_on(async { client.write_times(FEW).await });
    cluster.kill_all();
    for id in cluster.coordinators.ids() {
        let data = cluster.coordinators.data(id);
        fs::remove_dir_all(&data).unwrap();
        fs::rename(older(&cluster, id), data).unwrap();
    }
    cluster.restart_all();
    cluster.wait_on(async { client.read().await });
    let found = client.take_history().check(&Default::default());
    let violation = found.unwrap_err();
    assert!(violation.contains("no order explains"), "{violation}");
}

fn older(cluster: &Cluster, id: u64) -> std::path::PathBuf {
    cluster.coordinators.data(id).with_extension("older")
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
