//! Who reaches whom, and how long it takes.

use std::collections::BTreeSet;

use crate::plan::NetworkPlan;
use harness::random::Random;

/// Delays of a healed network, microseconds.
const HEALED_US: u64 = 1_000;

#[derive(Debug)]
pub(crate) struct Network {
    plan: NetworkPlan,
    /// From, to.
    cut: BTreeSet<(u64, u64)>,
    is_healed: bool,
}

impl Network {
    pub(crate) fn new(plan: NetworkPlan) -> Self {
        Self {
            plan,
            cut: BTreeSet::new(),
            is_healed: false,
        }
    }

    /// When copies of a message arrive, counted from when it is sent: none, one or two.
    pub(crate) fn delays(&self, random: &mut Random, from: u64, to: u64) -> Vec<u64> {
        if self.is_healed {
            return vec![1 + random.below(HEALED_US)];
        }
        let is_lost = random.chance(self.plan.loss_permille);
        if is_lost || self.cut.contains(&(from, to)) {
            return Vec::new();
        }
        let copies = if random.chance(self.plan.duplicate_permille) {
            2
        } else {
            1
        };
        (0..copies).map(|_| self.delay(random)).collect()
    }

    /// How long a message takes that is not lost.
    pub(crate) fn delay(&self, random: &mut Random) -> u64 {
        let most = if self.is_healed {
            HEALED_US
        } else if random.chance(self.plan.slow_permille) {
            self.plan.slow_us
        } else {
            self.plan.usual_us
        };
        1 + random.below(most)
    }

    pub(crate) fn is_cut(&self, from: u64, to: u64) -> bool {
        self.cut.contains(&(from, to))
    }

    /// Cuts some links; what was cut before is mended.
    pub(crate) fn partition(
        &mut self,
        random: &mut Random,
        replicas: &[u64],
        leader: Option<u64>,
    ) -> String {
        self.cut.clear();
        let one = match leader {
            Some(leader) if random.chance(500) => leader,
            _ => random.pick(replicas),
        };
        let others = replicas.iter().copied().filter(|id| *id != one);
        match random.below(5) {
            0 => {
                self.cut
                    .extend(others.flat_map(|id| [(one, id), (id, one)]));
                format!("{one} is cut off")
            }
            1 => {
                self.cut.extend(others.map(|id| (one, id)));
                format!("{one} is heard by nobody")
            }
            2 => {
                self.cut.extend(others.map(|id| (id, one)));
                format!("{one} hears nobody")
            }
            3 => {
                let other = random.pick(replicas);
                self.cut.extend([(one, other), (other, one)]);
                format!("{one} and {other} are apart")
            }
            _ => {
                let side: BTreeSet<u64> = replicas
                    .iter()
                    .copied()
                    .filter(|_| random.chance(500))
                    .collect();
                for from in replicas {
                    let is_apart = |to: &&u64| side.contains(from) != side.contains(to);
                    self.cut
                        .extend(replicas.iter().filter(is_apart).map(|to| (*from, *to)));
                }
                format!("{side:?} are apart from the others")
            }
        }
    }

    pub(crate) fn mend(&mut self) {
        self.cut.clear();
    }

    /// No faults from now on.
    pub(crate) fn heal(&mut self) {
        self.mend();
        self.is_healed = true;
    }
}
