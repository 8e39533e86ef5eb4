//! What a step takes from Rust's allocator, on all threads of a worker together: training, communication, preparation of batches.
//! The one test of its binary, because it counts for the whole process. libtorch's own tensors come from the C allocator.
#![expect(clippy::unwrap_used, reason = "a test that can not go on should panic")]

#[path = "../src/replica/reducer.rs"]
mod reducer;

use std::alloc::System;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use convoy_collective::{AbortHandle, Identity, Peer, RingListener, TcpRing};
use convoy_common::ids::{
    Attempt, EpochIndex, Generation, Incarnation, JobId, Phase, Rank, ShardIndex, StepIndex,
};
use convoy_common::partition::{EpochPlan, owned_shards};
use convoy_common::schedule::{Curve, Schedule};
use convoy_common::spec::{
    DataSpec, MemoryFormat, ModelName, ModelSpec, OptimizerName, OptimizerSpec, Precision,
    Reproducibility,
};
use convoy_data::synthetic::write_idx_dataset;
use convoy_data::{Pipeline, SampleOrdering, Splits, Transform, training_requests};
use convoy_training::{ReduceTag, Trainer, TrainerSpec, layout};
use reducer::GroupReducer;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SEED: u64 = 11;
const WORLD: u32 = 2;
const CLASSES: u32 = 4;
/// Neither divides by the shards: micro-batches differ in size.
const SAMPLES: u32 = 203;
const GLOBAL_BATCH: u64 = 41;
const DATA_SHARDS: u32 = 4;
/// An epoch and a bit.
const WARM_UP: u64 = 8;
const STEPS: u64 = 24;
const EPOCHS: u32 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn step_allocates_nothing_once_it_is_warm() {
    for reproducibility in [Reproducibility::Fast, Reproducibility::Bitwise] {
        check(reproducibility);
    }
}

fn check(reproducibility: Reproducibility) {
    let folder = tempfile::tempdir().unwrap();
    let files = write_idx_dataset(folder.path(), SAMPLES, 10, 12, CLASSES, SEED).unwrap();
    let data = files.data_spec();
    let listeners: Vec<_> = (0..WORLD).map(|_| listener()).collect();
    let addresses: Vec<_> = listeners.iter().map(RingListener::local_addr).collect();
    let barrier = Barrier::new(WORLD as usize);
    let counted = std::thread::scope(|scope| {
        let members: Vec<_> = (0..WORLD)
            .zip(&listeners)
            .map(|(rank, listener)| {
                let (data, addresses, barrier) = (&data, &addresses, &barrier);
                scope.spawn(move || {
                    member(rank, listener, addresses, data, reproducibility, barrier)
                })
            })
            .collect();
        let counted = members.into_iter().map(|member| member.join().unwrap());
        counted.collect::<Vec<_>>()
    });
    assert_eq!(
        (counted[0].allocations, counted[0].reallocations),
        (0, 0),
        "{} bytes in {STEPS} steps, {reproducibility:?}",
        counted[0].bytes_allocated
    );
}

fn member(
    rank: u32,
    listener: &RingListener,
    addresses: &[SocketAddr],
    data: &DataSpec,
    reproducibility: Reproducibility,
    barrier: &Barrier,
) -> Stats {
    tch::set_num_threads(1);
    let splits = convoy_data::open(data, CLASSES).unwrap();
    let mut trainer = Trainer::new(trainer_spec(&splits, reproducibility)).unwrap();
    let ring = ring(rank, listener, addresses);
    let reducer = GroupReducer::new(Box::new(ring), trainer.reductions());
    trainer.connect(Arc::new(reducer));
    let plan = EpochPlan::new(u64::from(SAMPLES), GLOBAL_BATCH, DATA_SHARDS).unwrap();
    let shards = owned_shards(DATA_SHARDS, WORLD, Rank(rank));
    let mut batches = pipeline(data, &splits, &plan, &shards);
    let mut train = |steps: std::ops::Range<u64>| {
        for step in steps {
            let batch = plan.batch(step % plan.steps());
            let size = batch.end - batch.start;
            trainer
                .step(tag(step), shards.len(), size, &mut batches)
                .unwrap();
        }
    };
    train(0..WARM_UP);
    // Nobody counts what another does before or after: everyone is at a barrier meanwhile.
    barrier.wait();
    let counting = Region::new(ALLOCATOR);
    train(WARM_UP..WARM_UP + STEPS);
    let counted = counting.change();
    barrier.wait();
    counted
}

fn tag(step: u64) -> ReduceTag {
    ReduceTag {
        generation: Generation(1),
        step: StepIndex(step),
        phase: Phase::Train,
    }
}

fn trainer_spec(splits: &Splits, reproducibility: Reproducibility) -> TrainerSpec {
    let optimizer = OptimizerSpec {
        momentum: 0.9,
        nesterov: true,
        weight_decay: 5e-4,
        decay_norm_and_bias: false,
        clip_norm: Some(1.0),
        ema_decay: Some(0.99),
        ..OptimizerSpec::new(OptimizerName::Sgd, 0.05)
    };
    TrainerSpec {
        model: ModelSpec::new(ModelName::SmallCnn, CLASSES),
        shape: splits.train.shape(),
        seed: SEED,
        precision: Precision::F32,
        reproducibility,
        data_shards: DATA_SHARDS,
        memory_format: MemoryFormat::ChannelsLast,
        label_smoothing: 0.1,
        class_weights: Vec::new(),
        schedule: Schedule {
            peak: optimizer.learning_rate,
            warmup_steps: 2,
            curve: Curve::Constant,
        },
        optimizer,
    }
}

fn pipeline(data: &DataSpec, splits: &Splits, plan: &EpochPlan, shards: &[ShardIndex]) -> Pipeline {
    let train = Arc::clone(&splits.train);
    let (mean, std, augment) = (&data.mean, &data.std, &data.augment);
    let transform = Transform::training(train.shape(), mean, std, augment, SEED)
        .unwrap()
        .in_layout(layout(MemoryFormat::ChannelsLast));
    let epochs = EpochIndex(0)..EpochIndex(EPOCHS);
    let requests = training_requests(plan, epochs, shards, StepIndex(0));
    let ordering = SampleOrdering::Shuffled { seed: SEED };
    Pipeline::start(train, transform, ordering, requests, 1, 6).unwrap()
}

fn listener() -> RingListener {
    RingListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
}

fn ring(rank: u32, listener: &RingListener, addresses: &[SocketAddr]) -> TcpRing {
    let peer = |rank: u32| Peer {
        rank: Rank(rank),
        address: addresses[rank as usize],
        incarnation: Incarnation(u64::from(rank) + 1),
    };
    let me = Identity {
        job: JobId::try_from("allocations-1".to_owned()).unwrap(),
        attempt: Attempt {
            term: 1,
            counter: 1,
        },
        rank: Rank(rank),
        world: WORLD,
        incarnation: Incarnation(u64::from(rank) + 1),
    };
    let (next, previous) = (peer((rank + 1) % WORLD), peer((rank + WORLD - 1) % WORLD));
    TcpRing::connect(listener, me, next, previous, PATIENCE, AbortHandle::new()).unwrap()
}
