//! Many schedules on all cores; one that fails is shown and named.

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::plan::Plan;
use crate::world::{self, Failure, Summary};
use harness::random::Random;

/// Schedules of three replicas that every change has to pass.
const USUAL: u64 = 20_000;
/// And of five.
const USUAL_OF_FIVE: u64 = 4_000;
/// In the long run of the tests.
const LONG: u64 = 1_000_000;
/// Among so many schedules everything happens that should.
const ENOUGH_TO_SEE_ALL: u64 = 2_000;
/// What schedules are for; if one of these no longer happens, they prove less than they seem to.
const HAS_TO_BE_SEEN: [&str; 23] = [
    "changes of members answered",
    "commands acknowledged",
    "crashes at the start",
    "crashes in the middle of an operation",
    "crashes of machines",
    "crashes of processes",
    "damaged disks found at the start",
    "disks lost",
    "failed syncs",
    "joint configurations entered",
    "messages of wiped replicas refused",
    "messages refused on full disks",
    "partitions",
    "proposals refused on full disks",
    "proposals with an unknown fate",
    "reads given up",
    "reads served",
    "repeated commands",
    "snapshots of leaders restored",
    "snapshots that did not arrive",
    "snapshots written",
    "torn ends of logs",
    "transfers begun",
];
/// Whence seeds are drawn, so that every run of a commit runs the same ones.
const USUAL_BASE: u64 = 0x0063_6f6e_766f_7921;

#[test]
fn three_replicas_keep_every_promise() {
    keep_every_promise(3, USUAL);
}

#[test]
fn five_replicas_keep_every_promise() {
    keep_every_promise(5, USUAL_OF_FIVE);
}

#[test]
#[ignore = "half an hour on two cores"]
fn long_three_and_five_replicas_keep_every_promise() {
    keep_every_promise(3, LONG);
    keep_every_promise(5, LONG / 5);
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let first = world::run(Plan::draw(seed, 3), false).expect("promises are kept");
        let second = world::run(Plan::draw(seed, 3), true).expect("promises are kept");
        assert_eq!(first, second, "seed {seed}");
    }
}

fn keep_every_promise(replicas: u64, usual: u64) {
    if let Some(seed) = number("CONVOY_SIMULATION_SEED") {
        let plan = Plan::draw(seed, replicas);
        let ran = attempt(plan, true);
        show(replicas, seed, ran);
        return;
    }
    let count = number("CONVOY_SIMULATION_SCHEDULES").unwrap_or(usual);
    let base = number("CONVOY_SIMULATION_BASE").unwrap_or(USUAL_BASE);
    let started = Instant::now();
    let plan = |seed| Plan::draw(seed, replicas);
    let (total, failed) = run_many(seeds(base ^ replicas, count), plan);
    if let Some(seed) = failed {
        let ran = attempt(plan(seed), true);
        show(replicas, seed, ran);
        panic!("schedule {seed} of {replicas} replicas failed, and did not when it was run again");
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{count} schedules of {replicas} replicas in {seconds:.1} s ({:.0} a second), {} events in {:.1} simulated hours:",
        count as f64 / seconds,
        total.events,
        total.simulated_us as f64 / 3.6e9,
    );
    for (what, times) in &total.seen {
        println!("{times:>12} {what}");
    }
    let missed: Vec<_> = HAS_TO_BE_SEEN
        .iter()
        .filter(|what| total.seen.get(*what).is_none_or(|times| *times == 0))
        .collect();
    assert!(
        count < ENOUGH_TO_SEE_ALL || missed.is_empty(),
        "the schedules never came to {missed:?}"
    );
}

pub(crate) fn seeds(base: u64, count: u64) -> Vec<u64> {
    let mut random = Random::new(base);
    (0..count).map(|_| random.draw()).collect()
}

pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
    )
}

/// Runs a schedule; a panic is a failure as well.
pub(crate) fn attempt(plan: Plan, is_told: bool) -> Result<Summary, Failure> {
    panic::catch_unwind(AssertUnwindSafe(|| world::run(plan, is_told))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Failure {
            what: format!("panicked: {}", text.unwrap_or("without a word")),
            lines: Vec::new(),
        })
    })
}

/// Runs the schedules on all cores: what they did, and the first that failed.
pub(crate) fn run_many(
    seeds: Vec<u64>,
    plan: impl Fn(u64) -> Plan + Sync,
) -> (Summary, Option<u64>) {
    let next = AtomicU64::new(0);
    let is_over = AtomicBool::new(false);
    let failed = Mutex::new(Vec::new());
    let total = Mutex::new(Summary::default());
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = seeds.get(index as usize).copied() else {
                break;
            };
            match attempt(plan(seed), false) {
                Ok(summary) => total.lock().expect("nobody panics").add(&summary),
                Err(_) => {
                    failed.lock().expect("nobody panics").push((index, seed));
                    is_over.store(true, Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().expect("nobody panics");
    let first = failed.into_iter().min().map(|(_, seed)| seed);
    (total.into_inner().expect("nobody panics"), first)
}

/// # Panics
/// If it failed: with what happened, and the command that runs it again.
fn show(replicas: u64, seed: u64, ran: Result<Summary, Failure>) {
    match ran {
        Ok(summary) => println!("schedule {seed} of {replicas} replicas: {summary:?}"),
        Err(failure) => {
            for line in &failure.lines {
                println!("{line}");
            }
            let test = if replicas == 3 { "three" } else { "five" };
            panic!(
                "schedule {seed} of {replicas} replicas failed {}\nrun it again: CONVOY_SIMULATION_SEED={seed} cargo test \
                 --profile ci -p cluster-tests --test simulation {test}_replicas",
                failure.what
            );
        }
    }
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.simulated_us += other.simulated_us;
        for (what, times) in &other.seen {
            *self.seen.entry(what).or_default() += times;
        }
    }
}
