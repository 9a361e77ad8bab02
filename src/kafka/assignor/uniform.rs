//! The coordinator's uniform assignor (KIP-848: `UniformAssignor`).
//!
//! What counts as a member's own is its *target* of before, whatever it may really have by now; it stands here in the
//! place of its owned partitions. If all members subscribe to the same topics, each keeps its target up to its share, and
//! what is free fills the members with room, one after the other (here); otherwise the topics are gone through one by one
//! (in `mixed`). Members are gone through in the order in which they are given.

mod mixed;

use super::{Assignments, Group};

pub(super) fn assign(group: &Group<'_>) -> Assignments {
    let given = match group.all_subscribe_to_the_same() {
        true => share(group),
        false => mixed::share(group),
    };
    group.assignments(given)
}

/// `UniformHomogeneousAssignmentBuilder`.
fn share(group: &Group<'_>) -> Vec<Vec<u32>> {
    let targets = old_targets(group);
    let members = targets.len() as u32;
    if members == 0 {
        return Vec::new();
    }
    let mut owned = vec![false; group.slots() as usize];
    targets.iter().flatten().flatten().for_each(|slot| owned[*slot as usize] = true);
    let mut free: Vec<u32> = (0..group.slots()).filter(|slot| !owned[*slot as usize]).collect();

    // So many may have one more than the others.
    let mut extras = group.slots() % members;
    let mut given = Vec::new();
    let mut with_room = Vec::new();
    for (at, target) in (0..).zip(targets) {
        let mut may_have_extra = extras > 0;
        let mut room = group.slots() / members + u32::from(may_have_extra);
        let mut kept = Vec::new();
        for mut slots in target {
            let of_topic = slots.len().min(room as usize);
            room -= of_topic as u32;
            free.extend(slots.drain(of_topic..));
            kept.append(&mut slots);
        }
        if room > 0 && may_have_extra && members - at > extras {
            // There are enough members after this one who may have fuller hands already.
            room -= 1;
            may_have_extra = false;
        }
        if room > 0 {
            with_room.push((at, room));
        }
        extras -= u32::from(may_have_extra);
        given.push(kept);
    }
    let mut free = free.into_iter();
    for (member, room) in with_room {
        given[member as usize].extend(free.by_ref().take(room as usize));
    }
    given
}

/// Each member's target of before, topic by topic in the order in which it names them. A partition that is there no more
/// is left out, as is one that another member has named before.
fn old_targets(group: &Group<'_>) -> Vec<Vec<Vec<u32>>> {
    let mut taken = vec![false; group.slots() as usize];
    let mut targets = Vec::new();
    for member in &group.members {
        let mut target: Vec<Vec<u32>> = Vec::new();
        let mut place_of_topic = vec![None; group.topics.len()];
        let named = member.subscription.owned_partitions.iter();
        for slot in named.filter_map(|(topic, partition)| group.slot(topic, *partition)) {
            if std::mem::replace(&mut taken[slot as usize], true) {
                continue;
            }
            let place = *place_of_topic[group.topic_of(slot) as usize].get_or_insert(target.len());
            if place == target.len() {
                target.push(Vec::new());
            }
            target[place].push(slot);
        }
        target.iter_mut().for_each(|slots| slots.sort_unstable());
        targets.push(target);
    }
    targets
}
