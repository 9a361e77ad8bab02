//! What happens to groups without anything being broken: members come and go, change their minds and take their time,
//! topics grow, groups are set back, and the brokers stop in turn, so that every coordinator hands its groups over.

use std::collections::BTreeSet;

use super::{Faults, pick};
use crate::rng::Rng;
use crate::sim::command::{Change, Command, SetTarget};
use crate::sim::spec::{ConsumerSpec, NodeName};
use crate::time::{Duration, Instant};

/// How long a broker is given to hand over before the next one stops.
const TURN: Duration = Duration::secs(4);

impl Faults {
    /// One thing that happens to a group. `number` makes newcomers' names their own.
    pub(super) fn members(
        &self,
        rng: &mut Rng,
        number: u64,
        at: Instant,
        lasting: Duration,
        targets: &[NodeName],
        course: &mut Vec<(Instant, Command)>,
    ) {
        if self.consumers.is_empty() {
            return;
        }
        let spec = pick(rng, &self.consumers);
        let node = NodeName::Consumer(spec.name.as_str().into());
        // What is put right is put right in time.
        let over = (at + lasting).min(self.until).max(at);
        match rng.below(8) {
            0 | 1 => join(rng, spec, number, at, over, course),
            2 => course.extend([(at, Command::Stop { node: node.clone() }), (over, Command::Start { node })]),
            3 => {
                let work = Duration::millis(rng.between(100, 5_000));
                let set = |change| Command::Set { target: SetTarget::Node(node.clone()), changes: vec![change] };
                course.extend([(at, set(Change::Work(work))), (over, set(Change::Work(spec.work)))]);
            }
            4 if !spec.topics.is_empty() => {
                let topics: Vec<&str> =
                    self.topics.iter().filter(|_| rng.chance(1, 2)).map(|(name, _)| name.as_str()).collect();
                let value = if topics.is_empty() { self.topics[0].0.clone() } else { topics.join(",") };
                let target = SetTarget::Node(node);
                course.push((at, Command::Set { target, changes: vec![Change::Own { key: "topics", value }] }));
            }
            5 if !self.topics.is_empty() => {
                let (topic, partitions) = pick(rng, &self.topics);
                let line = format!("kafka-topics --alter --topic {topic} --partitions {}", partitions + 1);
                course.extend(Command::parse(&line).map(|command| (at, command)));
            }
            6 => self.reset(spec, at, over, course),
            _ => each_broker_in_turn(rng, at, targets, course),
        }
    }
}

impl Faults {
    /// A whole group stops, is set back to the beginning, and reads everything again.
    fn reset(&self, spec: &ConsumerSpec, at: Instant, over: Instant, course: &mut Vec<(Instant, Command)>) {
        let Some(group) = spec.group.as_ref().filter(|_| !spec.conduct.share) else { return };
        for member in self.consumers.iter().filter(|member| member.group.as_ref() == Some(group)) {
            let node = NodeName::Consumer(member.name.as_str().into());
            course.extend([(at, Command::Stop { node: node.clone() }), (over, Command::Start { node })]);
        }
        let line =
            format!("kafka-consumer-groups --group {group} --all-topics --reset-offsets --to-earliest --execute");
        let middle = at + over.since(at) / 2;
        course.extend(Command::parse(&line).map(|command| (middle, command)));
    }
}

/// A member like another one; half of them go again.
fn join(
    rng: &mut Rng,
    spec: &ConsumerSpec,
    number: u64,
    at: Instant,
    over: Instant,
    course: &mut Vec<(Instant, Command)>,
) {
    let name = format!("{}-{number}", spec.name);
    let node = NodeName::Consumer(name.as_str().into());
    let mut spec = ConsumerSpec { name, start: Instant::ZERO, ..spec.clone() };
    // As a rule instances have names of their own. Who takes another's either waits for it to go or throws it out.
    if !rng.chance(1, 4) {
        for (_, value) in spec.overrides.iter_mut().filter(|(key, _)| key == "group.instance.id") {
            value.push_str(&format!("-{number}"));
        }
        spec.config.group_instance_id = spec.config.group_instance_id.map(|id| format!("{id}-{number}"));
    }
    course.push((at, Command::AddConsumer(Box::new(spec))));
    if rng.chance(1, 2) {
        course.push((over, Command::Remove { node }));
    }
}

/// A rolling restart, or one crash after another.
fn each_broker_in_turn(rng: &mut Rng, at: Instant, targets: &[NodeName], course: &mut Vec<(Instant, Command)>) {
    let brokers: BTreeSet<&NodeName> = targets.iter().filter(|node| matches!(node, NodeName::Broker(_))).collect();
    let crash = rng.chance(1, 2);
    let mut at = at;
    for node in brokers.into_iter().cloned() {
        let start = Command::Start { node: node.clone() };
        let end = if crash { Command::Kill { node, power: false } } else { Command::Stop { node } };
        course.extend([(at, end), (at + TURN / 2, start)]);
        at += TURN;
    }
}
