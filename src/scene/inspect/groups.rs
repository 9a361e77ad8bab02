//! What the inspector says about a group, whichever protocol it follows.

use super::{Inspection, Row, Section};
use crate::kafka::coordinator::Group;
use crate::kafka::group::ClassicGroup;
use crate::kafka::ids::{BrokerId, Node};
use crate::kafka::modern_group::ConsumerGroup;
use crate::kafka::share::group::{ASSIGNOR, ShareGroup};
use crate::scene::focus::Thing;
use crate::sim::world::World;

/// A group as its coordinator has it; `None` where there is no such group.
pub(super) fn group(world: &World, name: &str) -> Option<Inspection> {
    let Some((broker, coordinator, group)) = world.coordinator_of(name) else {
        let known = world.consumers().any(|(_, _, spec, _)| spec.group.as_deref() == Some(name));
        let nobody = Row::new("Coordinator", "no broker that runs has loaded it").changed_if(true);
        let sections = vec![Section::new("", vec![nobody]), committed_offsets(world, name)];
        return known.then(|| shown(name, "consumer group", sections));
    };
    Some(match group {
        Group::Classic(group) => classic(world, broker, name, group),
        Group::Consumer(group) => consumer(world, broker, name, group, coordinator.assignor_of(group)),
        Group::Share(group) => share(world, broker, name, group),
    })
}

fn shown(name: &str, subtitle: &str, sections: Vec<Section>) -> Inspection {
    Inspection { title: name.to_owned(), subtitle: subtitle.to_owned(), sections, why: None }
}

fn classic(world: &World, broker: BrokerId, name: &str, group: &ClassicGroup) -> Inspection {
    let rows = vec![
        state(group.phase().name()),
        Row::new("Generation", group.generation().to_string()),
        Row::new("Protocol", group.protocol().map_or("none", |name| &**name)),
        coordinator(broker),
    ];
    let members = group.members().map(|member| {
        let held = member.assignment().iter().map(|(topic, partition)| format!("{topic}-{partition}"));
        Row::new(member.client_id().to_string(), list(held))
    });
    let sections =
        vec![Section::new("", rows), Section::new("Members", members.collect()), committed_offsets(world, name)];
    shown(name, "consumer group · classic protocol", sections)
}

/// The consumer protocol (KIP-848): what each member reads, and what it is still to give up.
fn consumer(world: &World, broker: BrokerId, name: &str, group: &ConsumerGroup, assignor: &str) -> Inspection {
    let rows = vec![
        state(group.phase().name()),
        Row::new("Group epoch", group.epoch().to_string()),
        Row::new("Assignment epoch", group.assignment_epoch().to_string()),
        Row::new("Assignor", assignor),
        coordinator(broker),
    ];
    let members = group.members().map(|member| {
        let named = |at| world.names().partition(at);
        let mut text = list(member.assigned().map(named));
        let going: Vec<String> = member.standing().revoking.keys().copied().map(named).collect();
        if !going.is_empty() {
            text += &format!(" · gives up {}", going.join(", "));
        }
        Row::new(member.client_id().to_string(), format!("{text} · epoch {}", member.epoch()))
    });
    let sections =
        vec![Section::new("", rows), Section::new("Members", members.collect()), committed_offsets(world, name)];
    shown(name, "consumer group · consumer protocol", sections)
}

/// A share group (KIP-932): nobody commits; the leaders know where each partition's window begins.
fn share(world: &World, broker: BrokerId, name: &str, group: &ShareGroup) -> Inspection {
    let rows = vec![
        state(group.phase().name()),
        Row::new("Group epoch", group.epoch().to_string()),
        Row::new("Assignor", ASSIGNOR),
        coordinator(broker),
    ];
    let members = group.members().map(|(id, member)| {
        let held = list(member.assigned().iter().map(|at| world.names().partition(*at)));
        let name = member.client_id().unwrap_or(id).to_string();
        Row::new(name, format!("{held} · epoch {}", member.epoch()))
    });
    let starts = world.share_offsets(group.id(), &world.leaders()).into_iter().map(|(partition, (start, _, lag))| {
        Row::new(world.names().partition(partition), format!("{start} · lag {lag}")).to(Thing::Partition(partition))
    });
    let sections = vec![
        Section::new("", rows),
        Section::new("Members", members.collect()),
        Section::new("Share-partitions, by their start offsets", starts.collect()),
    ];
    shown(name, "share group", sections)
}

fn state(name: &str) -> Row {
    Row::new("State", name).changed_if(name != "Stable")
}

fn coordinator(broker: BrokerId) -> Row {
    Row::new("Coordinator", format!("broker-{broker}")).to(Thing::Node(Node::Broker(broker)))
}

fn list(partitions: impl Iterator<Item = String>) -> String {
    let list: Vec<String> = partitions.collect();
    if list.is_empty() { "nothing".to_owned() } else { list.join(", ") }
}

fn committed_offsets(world: &World, name: &str) -> Section {
    let leaders = world.leaders();
    let committed = world.books().groups().get(name).into_iter().flat_map(|account| &account.committed);
    let offsets = committed.map(|(partition, offset)| {
        let end = leaders.of(*partition).map(|replica| replica.high_watermark());
        let lag = end.map_or_else(String::new, |end| format!(" · lag {}", (end - offset).max(0)));
        Row::new(world.names().partition(*partition), format!("{offset}{lag}")).to(Thing::Partition(*partition))
    });
    Section::new("Committed offsets", offsets.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scenario::Scenario;
    use crate::time::{Duration, Instant};

    fn at(scenario: &str, seconds: u64) -> World {
        let mut world = World::new(&Scenario::parse(scenario).expect("it is built in"));
        world.run_until(Instant::ZERO + Duration::secs(seconds));
        world
    }

    fn value<'a>(shown: &'a Inspection, name: &str) -> Option<&'a str> {
        let mut rows = shown.sections.iter().flat_map(|section| &section.rows);
        rows.find(|row| row.name == name).map(|row| row.value.as_str())
    }

    #[test]
    fn every_kind_of_group_can_be_looked_into() {
        let classic = at(include_str!("../../../scenarios/scale-out.toml"), 20);
        let (_, _, spec, _) = classic.consumers().next().expect("it has consumers");
        let shown = group(&classic, spec.group.as_deref().expect("in a group")).expect("it is there");
        assert_eq!(value(&shown, "State"), Some("Stable"));
        assert!(value(&shown, "Generation").is_some());

        let share = at(include_str!("../../../scenarios/share-group.toml"), 10);
        let (_, _, spec, _) = share.consumers().next().expect("it has consumers");
        let shown = group(&share, spec.group.as_deref().expect("in a group")).expect("it is there");
        assert_eq!((shown.subtitle.as_str(), value(&shown, "Assignor")), ("share group", Some(ASSIGNOR)));
        let starts = shown.sections.last().expect("it has sections");
        assert!(!starts.rows.is_empty(), "nobody opened a share-partition");
    }

    #[test]
    fn what_is_no_group_is_not_shown() {
        let world = at(include_str!("../../../scenarios/hello.toml"), 1);
        assert_eq!(group(&world, "nobody"), None);
    }
}
