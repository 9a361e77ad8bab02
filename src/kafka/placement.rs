//! Where the replicas of new partitions go: Kafka's `StripedReplicaPlacer`.
//!
//! Leaders rotate over the racks, the replicas of one partition spread over the racks, and within a rack over its
//! brokers. A fenced broker never becomes a first replica (the preferred leader), and is taken only where a rack has no
//! unfenced one left. Racks never make a request fail.
//!
//! The walk starts at random places and is shuffled from time to time. Every draw comes from the caller, in the order in
//! which Kafka draws, so that the same draws give the same replicas as Kafka.

use std::fmt;

use super::ids::{BrokerId, Name};
use super::partitioner::java_hash_bucket;

/// A registered broker as the placer sees it (Kafka's `UsableBroker`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsableBroker {
    pub id: BrokerId,
    pub rack: Option<Name>,
    pub fenced: bool,
}

/// Why there is no placement: Kafka's `InvalidReplicationFactorException`. Prints as its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementError {
    NotPositive { replication_factor: i32 },
    AllFenced,
    TooFewBrokers { replication_factor: i32, registered: u32 },
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPositive { replication_factor } => {
                write!(f, "Invalid replication factor {replication_factor}: the replication factor must be positive.")
            }
            Self::AllFenced => {
                f.write_str("All brokers are currently fenced, or have all their log directories cordoned.")
            }
            Self::TooFewBrokers { replication_factor, registered } => write!(
                f,
                "The target replication factor of {replication_factor} cannot be reached because only {registered} \
                 broker(s) are registered or some brokers have all their log directories cordoned."
            ),
        }
    }
}

/// Places `partitions` partitions of `replication_factor` replicas each. The first replica of each is its preferred
/// leader.
///
/// `draw(n)` gives a number in `0..n` (Java's `Random.nextInt`); nothing else is random here.
pub fn place(
    brokers: &[UsableBroker],
    partitions: u32,
    replication_factor: i32,
    draw: &mut impl FnMut(u32) -> u32,
) -> Result<Vec<Vec<BrokerId>>, PlacementError> {
    let mut racks = RackList::new(brokers, draw);
    if replication_factor <= 0 {
        return Err(PlacementError::NotPositive { replication_factor });
    }
    if racks.unfenced == 0 {
        return Err(PlacementError::AllFenced);
    }
    let registered = brokers.len() as u32;
    if replication_factor as u32 > registered {
        return Err(PlacementError::TooFewBrokers { replication_factor, registered });
    }
    Ok((0..partitions).map(|_| racks.place(replication_factor as u32, draw)).collect())
}

/// The walk over the racks.
struct RackList {
    racks: Vec<Rack>,
    /// The racks in the order of the walk, as places in `racks`.
    order: Vec<usize>,
    /// How many partitions were placed since the last shuffle.
    epoch: u32,
    /// Where in `order` the next partition begins.
    offset: usize,
    unfenced: u32,
}

#[derive(Default)]
struct Rack {
    name: Option<Name>,
    fenced: BrokerList,
    unfenced: BrokerList,
}

impl RackList {
    fn new(brokers: &[UsableBroker], draw: &mut impl FnMut(u32) -> u32) -> Self {
        let mut racks: Vec<Rack> = Vec::new();
        for broker in brokers {
            let at = racks.iter().position(|rack| rack.name == broker.rack).unwrap_or_else(|| {
                racks.push(Rack { name: broker.rack.clone(), ..Rack::default() });
                racks.len() - 1
            });
            let list = if broker.fenced { &mut racks[at].fenced } else { &mut racks[at].unfenced };
            list.brokers.push(broker.id);
        }
        in_hash_order(&mut racks);
        for rack in &mut racks {
            rack.fenced.initialize(draw);
            rack.unfenced.initialize(draw);
        }
        let mut order: Vec<usize> = (0..racks.len()).collect();
        order.sort_by(|a, b| racks[*a].name.cmp(&racks[*b].name));
        let offset = if racks.is_empty() { 0 } else { draw(racks.len() as u32) as usize };
        let unfenced = brokers.iter().filter(|broker| !broker.fenced).count() as u32;
        Self { racks, order, epoch: 0, offset, unfenced }
    }

    fn place(&mut self, replication_factor: u32, draw: &mut impl FnMut(u32) -> u32) -> Vec<BrokerId> {
        // With as many partitions placed as there are brokers, going on would repeat the same replica lists.
        if self.epoch == self.unfenced && self.unfenced > 1 {
            self.shuffle(draw);
            self.epoch = 0;
        }
        if self.offset == self.order.len() {
            self.offset = 0;
        }
        let (leader, leader_rack) = self.leader();
        let mut replicas = vec![leader];
        self.followers(leader_rack, replication_factor, &mut replicas);
        self.epoch += 1;
        self.offset += 1;
        replicas
    }

    /// The next unfenced broker, and the place of its rack in the walk.
    fn leader(&mut self) -> (BrokerId, usize) {
        let (from, racks) = (self.offset, self.order.len());
        for at in (0..racks).map(|step| (from + step) % racks) {
            if let Some(broker) = self.racks[self.order[at]].unfenced.next(self.epoch) {
                return (broker, at);
            }
        }
        // The list that gave the leader before gives again in this epoch.
        panic!("{} unfenced brokers, and none is left to lead", self.unfenced)
    }

    /// Goes round and round the racks, one broker from each, until the partition has all its replicas. The leader's rack
    /// is passed over the first time.
    fn followers(&mut self, leader_rack: usize, replication_factor: u32, replicas: &mut Vec<BrokerId>) {
        let mut skip = Some(leader_rack);
        let mut at = self.offset;
        let mut fruitless = 0;
        while (replicas.len() as u32) < replication_factor {
            if skip == Some(at) {
                skip = None;
            } else if let Some(broker) = self.racks[self.order[at]].next(self.epoch) {
                replicas.push(broker);
                fruitless = 0;
            } else {
                fruitless += 1;
                // Kafka would search for ever. No mix of racks and fenced brokers is known that leads here.
                assert!(fruitless <= self.order.len(), "no broker is left for a replica");
            }
            at = (at + 1) % self.order.len();
        }
    }

    fn shuffle(&mut self, draw: &mut impl FnMut(u32) -> u32) {
        shuffle(&mut self.order, draw);
        for rack in &mut self.racks {
            shuffle(&mut rack.fenced.brokers, draw);
            shuffle(&mut rack.unfenced.brokers, draw);
        }
    }
}

impl Rack {
    fn next(&mut self, epoch: u32) -> Option<BrokerId> {
        self.unfenced.next(epoch).or_else(|| self.fenced.next(epoch))
    }
}

/// The brokers of a rack, handed out one after the other; each epoch begins one further.
#[derive(Default)]
struct BrokerList {
    brokers: Vec<BrokerId>,
    index: usize,
    offset: usize,
    epoch: u32,
}

impl BrokerList {
    fn initialize(&mut self, draw: &mut impl FnMut(u32) -> u32) {
        if !self.brokers.is_empty() {
            self.brokers.sort_unstable();
            self.offset = draw(self.brokers.len() as u32) as usize;
        }
    }

    fn next(&mut self, epoch: u32) -> Option<BrokerId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.index = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.index >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.index + self.offset) % self.brokers.len()];
        self.index += 1;
        Some(broker)
    }
}

/// Java's `Collections.shuffle`: from the last place down, each swapped with one at or before it.
fn shuffle<T>(items: &mut [T], draw: &mut impl FnMut(u32) -> u32) {
    for last in (1..items.len()).rev() {
        let other = draw(last as u32 + 1) as usize;
        items.swap(last, other);
    }
}

/// Puts the racks in the order in which Java's `HashMap` would list them.
///
/// Kafka draws a start for each rack while it goes through such a map, so the order decides who gets which draw.
fn in_hash_order(racks: &mut [Rack]) {
    let mut buckets = 16_u32;
    while racks.len() as u32 > buckets / 4 * 3 {
        buckets *= 2;
    }
    // Stable: racks of one bucket stay in the order they came.
    racks.sort_by_key(|rack| rack.name.as_deref().map_or(0, |name| java_hash_bucket(name, buckets)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Brokers written as `id`, `id@rack`, with a `!` behind a fenced one.
    fn brokers(text: &str) -> Vec<UsableBroker> {
        text.split_whitespace()
            .map(|word| {
                let (word, fenced) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
                let (id, rack) = word.split_once('@').map_or((word, None), |(id, rack)| (id, Some(rack.into())));
                UsableBroker { id: BrokerId(id.parse().expect("a number")), rack, fenced }
            })
            .collect()
    }

    fn check(text: &str, partitions: u32, replication_factor: i32, constant: u32, expected: &[&[i32]]) {
        let placed =
            place(&brokers(text), partitions, replication_factor, &mut |bound| constant % bound).expect("a placement");
        let placed: Vec<Vec<i32>> = placed.iter().map(|replicas| replicas.iter().map(|id| id.0).collect()).collect();
        assert_eq!(placed, expected, "{text}");
    }

    #[test]
    fn leaders_rotate_and_after_a_round_the_lists_are_shuffled() {
        let rotated: &[&[i32]] = &[&[0, 1, 2], &[1, 2, 0], &[2, 0, 1], &[1, 2, 0], &[2, 0, 1], &[0, 1, 2]];
        check("0 1 2", 6, 3, 0, rotated);
        check("9 3 6", 3, 3, 0, &[&[3, 6, 9], &[6, 9, 3], &[9, 3, 6]]);
    }

    #[test]
    fn replicas_of_a_partition_spread_over_the_racks() {
        check("0@a 1@a 2@b 3@b", 4, 2, 0, &[&[0, 2], &[3, 1], &[0, 2], &[3, 1]]);
        let uneven: &[&[i32]] = &[&[3, 4, 1], &[4, 2, 3], &[0, 3, 4], &[3, 4, 1], &[4, 2, 3], &[0, 4, 3]];
        check("0@a 1@a 2@a 3@b 4@c", 6, 3, 1, uneven);
        check("0@a 1@a 2@b 3@b", 3, 4, 1, &[&[3, 1, 2, 0], &[0, 2, 1, 3], &[3, 1, 2, 0]]);
    }

    #[test]
    fn brokers_without_a_rack_share_one_that_comes_first() {
        check("0 1@a 2@b", 4, 2, 0, &[&[0, 1], &[1, 2], &[2, 0], &[1, 2]]);
    }

    #[test]
    fn fenced_brokers_follow_but_never_lead() {
        check("0 1! 2!", 3, 3, 0, &[&[0, 1, 2], &[0, 2, 1], &[0, 1, 2]]);
        check("0@a 1@a 2@b! 3@b!", 4, 2, 0, &[&[0, 2], &[1, 3], &[1, 3], &[0, 2]]);
    }

    #[test]
    fn one_broker_takes_every_partition() {
        check("7", 5, 1, 0, &[&[7], &[7], &[7], &[7], &[7]]);
    }

    #[test]
    fn impossible_replication_factors_are_refused_in_kafkas_words() {
        let refusal =
            |text: &str, factor| place(&brokers(text), 1, factor, &mut |_| 0).expect_err("a refusal").to_string();
        assert_eq!(refusal("0 1", 0), "Invalid replication factor 0: the replication factor must be positive.");
        assert!(refusal("11@1! 10@1!", 1).starts_with("All brokers are currently fenced"));
        assert!(refusal("11@1 10@1", 3).starts_with(
            "The target replication factor of 3 cannot be reached because only 2 broker(s) are registered"
        ));
    }

    #[test]
    fn any_mix_of_racks_and_fences_ends_with_distinct_replicas_and_an_unfenced_leader() {
        for seed in 0..300 {
            let mut rng = Rng::new(seed, 0);
            let brokers: Vec<UsableBroker> = (0..1 + rng.below(9) as i32)
                .map(|id| UsableBroker {
                    id: BrokerId(id),
                    rack: (rng.below(3) > 0).then(|| ["a", "b", "c"][rng.below(3) as usize].into()),
                    fenced: id > 0 && rng.below(3) == 0,
                })
                .collect();
            let factor = 1 + rng.below(brokers.len() as u32);
            let placed = place(&brokers, 40, factor as i32, &mut |bound| rng.below(bound)).expect("a placement");
            for mut replicas in placed {
                assert!(!brokers[replicas[0].0 as usize].fenced, "seed {seed}");
                replicas.sort();
                replicas.dedup();
                assert_eq!(replicas.len() as u32, factor, "seed {seed}");
            }
        }
    }
}
