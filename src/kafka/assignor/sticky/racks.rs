//! Which member is near which partition (`AbstractStickyAssignor.RackInfo`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::Group;
use crate::kafka::ids::Name;

/// Racks, where they matter: members and replicas have some in common, and not every partition is on every rack.
/// Otherwise nothing is known here.
#[derive(Default)]
pub(super) struct Racks {
    of_member: Vec<Option<u32>>,
    of_slot: Vec<BTreeSet<u32>>,
    /// How many members are on each rack.
    members_on: BTreeMap<u32, u32>,
}

impl Racks {
    pub(super) fn of(group: &Group<'_>) -> Self {
        if group.members.iter().all(|member| member.rack().is_none()) {
            return Self::default();
        }
        let mut numbers: BTreeMap<&Name, u32> = BTreeMap::new();
        let mut number = |rack| {
            let next = numbers.len() as u32;
            *numbers.entry(rack).or_insert(next)
        };
        let of_member: Vec<Option<u32>> = group.members.iter().map(|member| member.rack().map(&mut number)).collect();
        let mut of_slot: Vec<BTreeSet<u32>> = Vec::new();
        for (_, topic) in &group.topics {
            let racks = (0..topic.partitions).map(|partition| topic.racks_of(partition));
            of_slot.extend(racks.map(|racks| racks.iter().map(&mut number).collect::<BTreeSet<u32>>()));
        }
        let all: BTreeSet<u32> = of_slot.iter().flatten().copied().collect();
        let in_common = of_member.iter().flatten().any(|rack| all.contains(rack));
        if !in_common || of_slot.iter().all(|racks| *racks == all) {
            return Self::default();
        }
        let mut members_on = BTreeMap::new();
        for rack in of_member.iter().flatten() {
            *members_on.entry(*rack).or_default() += 1;
        }
        Self { of_member, of_slot, members_on }
    }

    pub(super) fn matter(&self) -> bool {
        !self.of_member.is_empty()
    }

    /// Whether the member is on a rack that has no replica of the partition.
    pub(super) fn mismatch(&self, member: u32, slot: u32) -> bool {
        self.rack_of(member).is_some_and(|rack| !self.of_slot[slot as usize].contains(&rack))
    }

    /// Whether the member is on a rack that has a replica of the partition.
    pub(super) fn matches(&self, member: u32, slot: u32) -> bool {
        self.rack_of(member).is_some_and(|rack| self.of_slot[slot as usize].contains(&rack))
    }

    /// Those first that the fewest members are near to (`sortPartitionsByRackConsumers`).
    pub(super) fn fewest_readers_first(&self, mut slots: Vec<u32>) -> Vec<u32> {
        if self.matter() {
            let readers_on = |rack| self.members_on.get(rack).copied().unwrap_or(0);
            slots.sort_by_cached_key(|slot| self.of_slot[*slot as usize].iter().map(readers_on).sum::<u32>());
        }
        slots
    }

    fn rack_of(&self, member: u32) -> Option<u32> {
        self.of_member.get(member as usize).copied().flatten()
    }
}
