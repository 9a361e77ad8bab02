//! The round-robin assignor (`RoundRobinAssignor`).
//!
//! All partitions, topic after topic, are dealt out like cards: each goes to the next member in a circle, and who does not
//! subscribe to its topic is passed over. The circle goes on from where it is, and never back; so with different
//! subscriptions one member may end up with far more than another.

use super::{Assignments, Group};

pub(super) fn assign(group: &Group<'_>) -> Assignments {
    let order = group.member_order();
    let mut place_of = vec![0_u32; order.len()];
    for (place, member) in (0..).zip(&order) {
        place_of[*member as usize] = place;
    }
    let mut given = vec![Vec::new(); order.len()];
    // Whose turn it is next.
    let mut turn = 0;
    for (topic, subscribers) in (0..).zip(&group.subscribers) {
        let mut places: Vec<u32> = subscribers.iter().map(|member| place_of[*member as usize]).collect();
        places.sort_unstable();
        let Some(first) = places.first().copied() else { continue };
        for slot in group.slots_of(topic) {
            let next = places.partition_point(|place| *place < turn);
            let place = places.get(next).copied().unwrap_or(first);
            given[order[place as usize] as usize].push(slot);
            turn = place + 1;
        }
    }
    group.assignments(given)
}

#[cfg(test)]
mod tests {
    use super::super::Assignor;
    use super::super::tests::{assign, member, topics};

    #[test]
    fn partitions_are_dealt_out_one_by_one() {
        let members = [member("c0", "t0 t1"), member("c1", "t0 t1")];
        let dealt = assign(Assignor::RoundRobin, &topics(&[("t0", 3), ("t1", 3)]), &members);
        assert_eq!(dealt, ["c0: t0-0 t0-2 t1-1", "c1: t0-1 t1-0 t1-2"]);
    }

    /// The example in `RoundRobinAssignor`'s own words: the circle never goes back.
    #[test]
    fn who_subscribes_to_more_may_get_far_more() {
        let members = [member("c0", "t0"), member("c1", "t0 t1"), member("c2", "t0 t1 t2")];
        let dealt = assign(Assignor::RoundRobin, &topics(&[("t0", 1), ("t1", 2), ("t2", 3)]), &members);
        assert_eq!(dealt, ["c0: t0-0", "c1: t1-0", "c2: t1-1 t2-0 t2-1 t2-2"]);
    }

    #[test]
    fn static_members_are_dealt_to_first() {
        let mut members = [member("a", "t"), member("b", "t")];
        members[1].instance_id = Some("i".into());
        assert_eq!(assign(Assignor::RoundRobin, &topics(&[("t", 3)]), &members), ["a: t-1", "b: t-0 t-2"]);
    }
}
