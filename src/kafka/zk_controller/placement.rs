//! Where the replicas of new partitions go in ZooKeeper mode (`AdminUtils.assignReplicasToBrokers`).
//!
//! The first replicas go round the brokers from a random start. The others follow at a shift that begins at random and
//! grows by one after each full round, so that the partitions of a lost broker are spread over all the others. With racks
//! the brokers are first put in an order that changes the rack with each step.

use std::collections::{BTreeMap, BTreeSet};

use crate::kafka::ids::{BrokerId, Name};

/// Places `count` partitions from number `first` on. `brokers` are the live ones, in order; `draw(n)` gives a number in
/// `0..n`. `None` where there are fewer brokers than replicas.
pub fn place(
    brokers: &[(BrokerId, Option<Name>)],
    first: u32,
    count: u32,
    factor: u32,
    draw: &mut impl FnMut(u32) -> u32,
) -> Option<Vec<Vec<BrokerId>>> {
    let size = brokers.len() as u32;
    if factor == 0 || factor > size {
        return None;
    }
    let racks: BTreeMap<BrokerId, &Name> =
        brokers.iter().filter_map(|(id, rack)| Some((*id, rack.as_ref()?))).collect();
    // Brokers without a rack among others with one, and racks count for nothing.
    let aware = racks.len() == brokers.len();
    let order: Vec<BrokerId> = if aware { alternate(brokers) } else { brokers.iter().map(|(id, _)| *id).collect() };
    let rack_count = if aware { racks.values().collect::<BTreeSet<_>>().len() as u32 } else { 1 };
    let start = draw(size);
    let mut shift = draw(size);
    let mut placed = Vec::with_capacity(count as usize);
    for partition in first..first + count {
        if partition > 0 && partition.is_multiple_of(size) {
            shift += 1;
        }
        let leader = (partition + start) % size;
        let mut replicas = vec![order[leader as usize]];
        let mut step = 0;
        while (replicas.len() as u32) < factor {
            let next = order[follower(leader, shift * rack_count, step, size) as usize];
            step += 1;
            let used: BTreeSet<_> = replicas.iter().filter_map(|id| racks.get(id)).collect();
            let fresh_rack = !aware || used.len() as u32 == rack_count || !used.contains(&racks[&next]);
            if fresh_rack && !replicas.contains(&next) {
                replicas.push(next);
            }
        }
        placed.push(replicas);
    }
    Some(placed)
}

/// `AdminUtils.replicaIndex`.
fn follower(leader: u32, shift: u32, step: u32, size: u32) -> u32 {
    (leader + 1 + (shift + step) % (size - 1)) % size
}

/// One broker of each rack in turn (`getRackAlternatedBrokerList`).
fn alternate(brokers: &[(BrokerId, Option<Name>)]) -> Vec<BrokerId> {
    let mut racks: BTreeMap<&Option<Name>, Vec<BrokerId>> = BTreeMap::new();
    for (id, rack) in brokers {
        racks.entry(rack).or_default().push(*id);
    }
    let longest = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| racks.values().filter_map(move |rack| rack.get(at).copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(racks: &[Option<&str>], count: u32, factor: u32) -> Option<Vec<Vec<i32>>> {
        let brokers: Vec<_> = (0..).map(BrokerId).zip(racks.iter().map(|rack| rack.map(Name::from))).collect();
        let placed = place(&brokers, 0, count, factor, &mut |_| 0)?;
        Some(placed.into_iter().map(|replicas| replicas.into_iter().map(|id| id.0).collect()).collect())
    }

    /// The example in the comment of `AdminUtils`: 5 brokers, 10 partitions, 3 replicas.
    #[test]
    fn the_shift_grows_with_each_round() {
        let expected: [[i32; 3]; 10] = [
            [0, 1, 2],
            [1, 2, 3],
            [2, 3, 4],
            [3, 4, 0],
            [4, 0, 1],
            [0, 2, 3],
            [1, 3, 4],
            [2, 4, 0],
            [3, 0, 1],
            [4, 1, 2],
        ];
        let found = placed(&[None; 5], 10, 3).expect("placed");
        assert_eq!(found, expected);
    }

    /// The example with racks there: brokers 0 to 5 in racks 1, 3, 3, 2, 2, 1.
    #[test]
    fn replicas_of_a_partition_are_in_different_racks() {
        let racks = ["1", "3", "3", "2", "2", "1"];
        let found = placed(&racks.map(Some), 6, 3).expect("placed");
        for replicas in &found {
            let mut used: Vec<&str> = replicas.iter().map(|id| racks[*id as usize]).collect();
            used.sort_unstable();
            assert_eq!(used, ["1", "2", "3"], "{found:?}");
        }
        let leaders: Vec<i32> = found.iter().map(|replicas| replicas[0]).collect();
        assert_eq!(leaders, [0, 3, 1, 5, 4, 2], "the rack changes with each leader");
    }

    #[test]
    fn there_must_be_enough_brokers() {
        assert_eq!(placed(&[None; 2], 1, 3), None);
        assert_eq!(placed(&[None], 2, 1), Some(vec![vec![0], vec![0]]));
    }
}
