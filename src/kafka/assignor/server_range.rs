//! The coordinator's range assignor (KIP-848: `RangeAssignor` of the group coordinator).
//!
//! The same ranges as the client's, and that is all: it knows no racks, and what a member had before counts for nothing.

use super::{Assignments, Group};

pub(super) fn assign(group: &Group<'_>) -> Assignments {
    let mut given = vec![Vec::new(); group.members.len()];
    // How many subscribers of each topic have had their turn.
    let mut turns = vec![0_u32; group.topics.len()];
    for member in group.member_order() {
        for topic in group.subscriptions[member as usize].iter() {
            let slots = group.slots_of(*topic);
            let (partitions, sharing) = (slots.len() as u32, group.subscribers[*topic as usize].len() as u32);
            let turn = &mut turns[*topic as usize];
            let begin = |turn: u32| slots.start + turn * (partitions / sharing) + turn.min(partitions % sharing);
            given[member as usize].extend(begin(*turn)..begin(*turn + 1));
            *turn += 1;
        }
    }
    group.assignments(given)
}

#[cfg(test)]
mod tests {
    use super::super::Assignor;
    use super::super::tests::{assign, member, topics};

    #[test]
    fn racks_and_what_was_owned_count_for_nothing() {
        let mut members = [member("a", "t u"), member("b", "t u"), member("c", "t")];
        let shared = ["a: t-0 t-1 u-0 u-1", "b: t-2 u-2", "c: t-3"];
        let topics = topics(&[("t", 4), ("u", 3)]);
        assert_eq!(assign(Assignor::ServerRange, &topics, &members), shared);
        let mut subscription = (*members[2].subscription).clone();
        subscription.owned_partitions = vec![("t".into(), 0), ("t".into(), 1)];
        subscription.rack = Some("r".into());
        members[2].subscription = subscription.into();
        assert_eq!(assign(Assignor::ServerRange, &topics, &members), shared);
    }
}
