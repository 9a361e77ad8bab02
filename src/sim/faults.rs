//! Faults by the seed: which kinds may strike, and a random course of them as commands with their times.
//!
//! Nothing else knows of randomness in faults: a course is a list of commands, which a scenario file can hold, a person can
//! read, and a search for the shortest one that still fails can cut down.

mod members;

use std::collections::BTreeSet;

use super::command::{Command, LinkChange};
use super::spec::{ConsumerSpec, NodeName};
use super::units::Share;
use crate::kafka::disk::{DiskChange, DiskKind};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// What can strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// A process crashes, and is started again.
    Kill,
    /// A machine loses its power, and what was not flushed with it.
    Power,
    /// A clean stop, and a start.
    Stop,
    Pause,
    Slow,
    /// One node or two are cut off.
    Cut,
    /// A link loses packets, and is slow.
    Loss,
    /// A broker's disk is a slow one, or has no room left.
    Disk,
    /// No fault, but work for the controller: replicas are moved elsewhere, or leaderships back.
    Tool,
    /// No fault, but work for group coordinators: members join and leave, take their time, subscribe to other topics;
    /// topics get partitions; brokers stop in turn.
    Members,
    /// A crash after which the disk is empty. What nobody else has is gone, by right.
    Wipe,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Kill,
        Self::Power,
        Self::Stop,
        Self::Pause,
        Self::Slow,
        Self::Cut,
        Self::Loss,
        Self::Disk,
        Self::Tool,
        Self::Members,
        Self::Wipe,
    ];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::Loss => "loss",
            Self::Disk => "disk",
            Self::Tool => "tool",
            Self::Members => "members",
            Self::Wipe => "wipe",
        }
    }
}

/// Which faults may strike, how many, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    pub kinds: BTreeSet<FaultKind>,
    /// How many, at least and at most.
    pub count: (u64, u64),
    /// They begin from here on …
    pub from: Instant,
    /// … and not after this; then everything can be put right.
    pub until: Instant,
    /// How long one lasts, at least and at most.
    pub lasting: (Duration, Duration),
    /// Topics whose replicas may be moved, and their numbers of partitions.
    pub topics: Vec<(String, u32)>,
    /// The members of groups.
    pub consumers: Vec<ConsumerSpec>,
}

/// A disk as brokers have it in the beginning.
const SSD: DiskChange = DiskChange::Other { kind: Some(DiskKind::Ssd), cache: Some(16 << 30) };

/// What [`Faults::kinds_of`] takes, for error messages and for `--help`.
pub const KINDS: &str = "`all` (every kind but wipe), `none`, or kinds with commas between them: kill, power, stop, pause, \
                         slow, cut, loss, disk, tool, members, wipe; `-KIND` takes one away again, as in `all,-cut`";

impl Faults {
    /// Reads `all`, `none`, `kill,cut`, `all,wipe` or `all,-power`, from left to right.
    pub fn kinds_of(text: &str) -> Option<BTreeSet<FaultKind>> {
        let named = |name: &str| FaultKind::ALL.into_iter().find(|kind| kind.name() == name);
        let mut kinds = BTreeSet::new();
        for word in text.split(',').map(str::trim) {
            match word {
                "all" => kinds.extend(FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::Wipe)),
                "none" => kinds.clear(),
                _ => match word.strip_prefix('-') {
                    Some(taken) => {
                        kinds.remove(&named(taken)?);
                    }
                    None => {
                        kinds.insert(named(word)?);
                    }
                },
            }
        }
        Some(kinds)
    }

    /// A course of faults that hit `targets`, in the order of their times. Targets that are named twice are hit twice as
    /// often. What cannot be done when its time comes (a dead node dies no second time) is left out by the world.
    pub fn draw(&self, rng: &mut Rng, targets: &[NodeName]) -> Vec<(Instant, Command)> {
        let kinds: Vec<FaultKind> = self.kinds.iter().copied().collect();
        let mut course = Vec::new();
        if kinds.is_empty() || targets.is_empty() {
            return course;
        }
        for number in 0..rng.between(self.count.0, self.count.1) {
            let kind = kinds[rng.below(kinds.len() as u32) as usize];
            let at = Instant::ZERO + between(rng, self.from.since(Instant::ZERO), self.until.since(Instant::ZERO));
            let lasting = between(rng, self.lasting.0, self.lasting.1);
            let node = pick(rng, targets).clone();
            let other = pick(rng, targets).clone();
            match kind {
                FaultKind::Tool => course.extend(self.tool(rng, targets).map(|command| (at, command))),
                FaultKind::Members => self.members(rng, number, at, lasting, targets, &mut course),
                _ => strike(kind, at, lasting, node, other, targets, rng, &mut course),
            }
        }
        course.retain(|(at, _)| *at <= self.until);
        course.sort_by_key(|(at, _)| *at);
        course
    }

    /// An administrator's command: a partition gets other replicas, or each its preferred leader.
    fn tool(&self, rng: &mut Rng, targets: &[NodeName]) -> Option<Command> {
        let is_broker = |node: &&NodeName| matches!(node, NodeName::Broker(_));
        let mut brokers: Vec<&NodeName> =
            targets.iter().filter(is_broker).collect::<BTreeSet<_>>().into_iter().collect();
        if self.topics.is_empty() || brokers.is_empty() || rng.chance(1, 3) {
            return Command::parse("kafka-leader-election --election-type preferred --all-topic-partitions").ok();
        }
        let (topic, partitions) = &self.topics[rng.below(self.topics.len() as u32) as usize];
        let replicas: Vec<String> = (0..rng.between(1, 3).min(brokers.len() as u64))
            .map(|_| brokers.swap_remove(rng.below(brokers.len() as u32) as usize))
            .filter_map(|node| if let NodeName::Broker(id) = node { Some(id.to_string()) } else { None })
            .collect();
        let json = format!(
            r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":{},"replicas":[{}]}}]}}"#,
            rng.below(*partitions),
            replicas.join(",")
        );
        let tool = "kafka-reassign-partitions --execute --reassignment-json-file /dev/stdin";
        Command::parse(&format!("{tool} <<< '{json}'")).ok()
    }

    /// Commands that put everything right from `at` on. What needs no repair the world leaves out.
    pub fn repairs(at: Instant, targets: &[NodeName]) -> Vec<(Instant, Command)> {
        let mut repairs = vec![(at, Command::Heal { link: None })];
        for node in targets.iter().collect::<BTreeSet<_>>() {
            let after = |millis| at + Duration::millis(millis);
            repairs.push((after(1), Command::Resume { node: node.clone() }));
            repairs.push((after(2), Command::Slow { node: node.clone(), times: 1, lasting: None }));
            if matches!(node, NodeName::Broker(_)) {
                repairs.push((after(3), Command::Disk { node: node.clone(), change: DiskChange::Ok }));
                repairs.push((after(4), Command::Disk { node: node.clone(), change: SSD }));
            }
            repairs.push((after(1_000), Command::Start { node: node.clone() }));
        }
        repairs.sort_by_key(|(at, _)| *at);
        repairs
    }
}

#[expect(clippy::too_many_arguments, reason = "one fault, all drawn")]
fn strike(
    kind: FaultKind,
    at: Instant,
    lasting: Duration,
    node: NodeName,
    other: NodeName,
    targets: &[NodeName],
    rng: &mut Rng,
    course: &mut Vec<(Instant, Command)>,
) {
    let over = at + lasting;
    let start = Command::Start { node: node.clone() };
    match kind {
        FaultKind::Kill => course.extend([(at, Command::Kill { node, power: false }), (over, start)]),
        FaultKind::Power => course.extend([(at, Command::Kill { node, power: true }), (over, start)]),
        FaultKind::Stop => course.extend([(at, Command::Stop { node }), (over, start)]),
        FaultKind::Pause => course.push((at, Command::Pause { node, lasting: Some(lasting) })),
        FaultKind::Slow => {
            let times = rng.between(2, 400) as u32;
            course.push((at, Command::Slow { node, times, lasting: Some(lasting) }));
        }
        FaultKind::Cut => {
            let alone = rng.chance(1, 2);
            let rest: BTreeSet<&NodeName> =
                targets.iter().filter(|rest| **rest != node && (alone || **rest == other)).collect();
            let rest: Vec<NodeName> = rest.into_iter().cloned().collect();
            if !rest.is_empty() {
                course.push((
                    at,
                    Command::Cut { one: vec![node], other: rest, one_way: rng.chance(1, 4), lasting: Some(lasting) },
                ));
            }
        }
        FaultKind::Loss if node != other => {
            let change = LinkChange {
                latency: rng.chance(1, 2).then(|| Duration::millis(rng.between(5, 400))),
                loss: Some(Share::percent(rng.between(1, 40) as u32)),
                ..LinkChange::default()
            };
            course.push((at, Command::Link { a: node.clone(), b: other.clone(), change }));
            course.push((over, Command::Heal { link: Some((node, other)) }));
        }
        FaultKind::Disk if !matches!(node, NodeName::Broker(_)) => {}
        FaultKind::Disk if rng.chance(1, 4) => {
            // A broker without its only log directory stops.
            course.push((at, Command::Disk { node: node.clone(), change: DiskChange::Full }));
            course.extend([(over, Command::Disk { node, change: DiskChange::Ok }), (over, start)]);
        }
        FaultKind::Disk => {
            // With next to no memory above it, so that followers that are behind wait for its arm.
            let hdd = DiskChange::Other { kind: Some(DiskKind::Hdd), cache: Some(rng.between(1, 100) * 1_000) };
            course.push((at, Command::Disk { node: node.clone(), change: hdd }));
            course.push((over, Command::Disk { node, change: SSD }));
        }
        // A client has no disk.
        FaultKind::Wipe if !node.is_client() => {
            let wiped = at + Duration::millis(1);
            course.extend([(at, Command::Kill { node: node.clone(), power: false }), (wiped, Command::Wipe { node })]);
            course.push((over.max(wiped + Duration::millis(1)), start));
        }
        FaultKind::Loss | FaultKind::Tool | FaultKind::Members | FaultKind::Wipe => {}
    }
}

fn pick<'a, T>(rng: &mut Rng, targets: &'a [T]) -> &'a T {
    &targets[rng.below(targets.len() as u32) as usize]
}

/// A duration in whole milliseconds, which scenario files write.
fn between(rng: &mut Rng, from: Duration, to: Duration) -> Duration {
    Duration::millis(rng.between(from.as_millis(), to.as_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_from_left_to_right() {
        let names = |text| {
            let kinds = Faults::kinds_of(text)?;
            Some(kinds.into_iter().map(FaultKind::name).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(names("all").as_deref(), Some("kill power stop pause slow cut loss disk tool members"));
        assert_eq!(names("none").as_deref(), Some(""));
        assert_eq!(names("cut, kill").as_deref(), Some("kill cut"));
        assert_eq!(names("all,wipe,-cut,-loss").as_deref(), Some("kill power stop pause slow disk tool members wipe"));
        assert_eq!(names("kil"), None);
        assert_eq!(names("all,-"), None);
    }

    #[test]
    fn a_course_is_the_seeds_and_lies_within_its_time() {
        let faults = Faults {
            kinds: Faults::kinds_of("all,wipe").expect("kinds"),
            count: (50, 50),
            from: Instant::ZERO + Duration::secs(1),
            until: Instant::ZERO + Duration::secs(9),
            lasting: (Duration::millis(100), Duration::secs(5)),
            topics: vec![("orders".into(), 3)],
            consumers: vec![ConsumerSpec {
                name: "c".into(),
                group: Some("g".into()),
                topics: vec!["orders".into()],
                ..ConsumerSpec::blank()
            }],
        };
        let nodes: Vec<NodeName> =
            ["broker-1", "broker-2", "producer-p"].iter().filter_map(|n| NodeName::parse(n)).collect();
        let course = |seed| faults.draw(&mut Rng::new(seed, 2), &nodes);
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
        let times: Vec<Instant> = course(1).iter().map(|(at, _)| *at).collect();
        assert!(times.is_sorted() && times.iter().all(|at| (faults.from..=faults.until).contains(at)));
        // Each reads back as it is printed: a file can hold it.
        for (_, command) in course(1) {
            assert_eq!(Command::parse(&command.to_string()), Ok(command));
        }
    }
}
