//! The same scenario and seed under each of Kafka's ways to rebalance: eager, cooperative, and the consumer protocol.
//!
//! A variant is the scenario with other settings of its consumers, and nothing else: what happens and when, and the seed,
//! stay. Kafka refuses `session.timeout.ms` and `heartbeat.interval.ms` from consumers of the consumer protocol, whose
//! coordinator sets both; there the scenario's values move to the brokers' settings of the same meaning, so that a
//! silence is noticed as late as before.

use std::collections::VecDeque;

use super::command::{Change, Command, SetTarget};
use super::letters::Letters;
use super::rebalances::Rebalances;
use super::scenario::{ConsumerSpec, Scenario};
use super::spec::{self, Settings};
use super::world::World;
use crate::time::Instant;

/// A way to rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Classic, range: everybody gives up everything first.
    Eager,
    /// Classic, cooperative-sticky: only what moves is given up, in a rebalance of its own (KIP-429).
    Cooperative,
    /// Consumer: the coordinator moves partitions one by one (KIP-848).
    Consumer,
}

const STRATEGY: &str = "partition.assignment.strategy";
const GROUP_PROTOCOL: &str = "group.protocol";
const REMOTE_ASSIGNOR: &str = "group.remote.assignor";
const SESSION: &str = "session.timeout.ms";
const HEARTBEAT: &str = "heartbeat.interval.ms";
/// What the brokers' settings are called that take the place of a consumer's, each after the lowest value that they allow
/// for it, which moves with it.
const MOVED: [(&str, [&str; 2]); 2] = [
    (HEARTBEAT, ["group.consumer.min.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"]),
    (SESSION, ["group.consumer.min.session.timeout.ms", "group.consumer.session.timeout.ms"]),
];

impl Protocol {
    /// All of them, in the order in which Kafka learned them.
    pub const ALL: [Self; 3] = [Self::Eager, Self::Cooperative, Self::Consumer];

    /// One word, for tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eager => "eager",
            Self::Cooperative => "cooperative",
            Self::Consumer => "consumer",
        }
    }

    /// For people: with what Kafka calls it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Eager => "Eager (range)",
            Self::Cooperative => "Cooperative (sticky)",
            Self::Consumer => "KIP-848 (consumer)",
        }
    }

    /// The settings that make a consumer follow it.
    pub const fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Eager => &[(GROUP_PROTOCOL, "classic"), (STRATEGY, "range")],
            Self::Cooperative => &[(GROUP_PROTOCOL, "classic"), (STRATEGY, "cooperative-sticky")],
            Self::Consumer => &[(GROUP_PROTOCOL, "consumer")],
        }
    }

    /// Whether a consumer's setting is not taken over: it chooses a protocol, or Kafka refuses it under this one.
    fn drops(self, key: &str) -> bool {
        let refused: &[&str] = if self == Self::Consumer { &[SESSION, HEARTBEAT] } else { &[REMOTE_ASSIGNOR] };
        [STRATEGY, GROUP_PROTOCOL].contains(&key) || refused.contains(&key)
    }

    /// A consumer's own settings, changed to this.
    fn change(self, overrides: &mut Settings) {
        overrides.retain(|(key, _)| !self.drops(key));
        overrides.extend(self.settings().iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    }

    fn consumer(self, spec: &ConsumerSpec) -> Result<ConsumerSpec, String> {
        if spec.group.is_none() {
            return Ok(spec.clone());
        }
        let mut spec = spec.clone();
        self.change(&mut spec.overrides);
        spec.config = spec::consumer_config(&spec.overrides).map_err(|why| format!("consumer-{}: {why}", spec.name))?;
        Ok(spec)
    }

    /// A command as this variant gives it; `None` for one that would only choose another protocol.
    pub fn command(self, command: &Command) -> Result<Option<Command>, String> {
        Ok(Some(match command {
            Command::AddConsumer(spec) => Command::AddConsumer(Box::new(self.consumer(spec)?)),
            Command::Set { target: target @ SetTarget::Node(node), changes } if node.is_client() => {
                let mut changes = changes.clone();
                changes.retain(|change| !matches!(change, Change::Setting { key, .. } if self.drops(key)));
                if changes.is_empty() {
                    return Ok(None);
                }
                Command::Set { target: target.clone(), changes }
            }
            other => other.clone(),
        }))
    }

    /// The scenario under this protocol.
    pub fn scenario(self, of: &Scenario) -> Result<Scenario, String> {
        let mut scenario = of.clone();
        for spec in &mut scenario.consumers {
            *spec = self.consumer(spec)?;
        }
        for step in &mut scenario.steps {
            if let Some(command) = &step.run {
                step.run = self.command(command)?;
            }
        }
        scenario.steps.retain(|step| step.run.is_some() || step.caption.is_some());
        if self == Self::Consumer {
            for (from, to) in MOVED {
                let added = of.steps.iter().filter_map(|step| match &step.run {
                    Some(Command::AddConsumer(spec)) => Some(&**spec),
                    _ => None,
                });
                let given = of.consumers.iter().chain(added).flat_map(|spec| &spec.overrides);
                let given = given.filter(|(key, _)| key == from);
                let longest = given.filter_map(|(_, value)| value.parse::<u64>().ok()).max();
                let Some(value) = longest else { continue };
                let mut with = scenario.cluster_config.clone();
                with.extend(to.iter().map(|key| ((*key).to_owned(), value.to_string())));
                // A value that the brokers would refuse leaves theirs as it is.
                if spec::broker_config(&with).is_ok() {
                    scenario.cluster_config = with;
                }
            }
        }
        Ok(scenario)
    }
}

/// One variant's run, which can be taken in small pieces.
#[derive(Debug)]
pub struct Variant {
    pub protocol: Protocol,
    world: World,
    given: VecDeque<(Instant, Command)>,
    rebalances: Rebalances,
    letters: Letters,
    /// When facts were noted, the latest ones.
    moments: VecDeque<Instant>,
    /// The id of the first of them.
    first: u64,
    until: Instant,
    /// Commands that could not be given in this variant.
    refused: Vec<String>,
}

/// How many facts' moments are kept.
const MOMENTS: usize = 100_000;
/// How many events come between two questions whether to go on.
const EVENTS: u32 = 64;

impl Variant {
    /// The scenario under a protocol, with these commands given by hand, up to a moment.
    pub fn new(
        of: &Scenario,
        protocol: Protocol,
        given: &[(Instant, Command)],
        until: Instant,
    ) -> Result<Self, String> {
        let mut world = World::new(&protocol.scenario(of)?);
        world.listen(true);
        world.keep_letters(true);
        let mut adapted = VecDeque::new();
        for (at, command) in given {
            adapted.extend(protocol.command(command)?.map(|command| (*at, command)));
        }
        Ok(Self {
            protocol,
            world,
            given: adapted,
            rebalances: Rebalances::default(),
            letters: Letters::default(),
            moments: VecDeque::new(),
            first: 1,
            until,
            refused: Vec::new(),
        })
    }

    /// Runs on as long as `go_on` says so. Returns whether it is done.
    pub fn run(&mut self, mut go_on: impl FnMut() -> bool) -> bool {
        let mut events = 0;
        while self.world.now() < self.until {
            let next = self.world.next_event_at().filter(|next| *next <= self.until);
            let before = next.unwrap_or(self.until);
            match self.given.front().filter(|(at, _)| *at <= before).cloned() {
                Some((at, command)) => {
                    self.given.pop_front();
                    if let Err(why) = self.world.command_at(at, &command) {
                        self.refused.push(format!("{command}: {why}"));
                    }
                }
                None if next.is_some() => {
                    self.world.run_event();
                }
                None => {
                    self.world.run_until(self.until);
                }
            }
            events += 1;
            if events % EVENTS == 0 {
                self.hear();
                if !go_on() {
                    return false;
                }
            }
        }
        self.hear();
        true
    }

    fn hear(&mut self) {
        self.world.take_letters().into_iter().for_each(|letter| self.letters.enter(letter));
        for stamped in self.world.take_journal() {
            let (moments, first) = (&self.moments, self.first);
            let moment = |id: u64| moments.get(usize::try_from(id.checked_sub(first)?).ok()?).copied();
            self.rebalances.enter(&stamped, &self.letters, &moment);
            self.moments.push_back(stamped.at);
            if self.moments.len() > MOMENTS {
                self.moments.pop_front();
                self.first += 1;
            }
        }
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn rebalances(&self) -> &Rebalances {
        &self.rebalances
    }

    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    pub fn until(&self) -> Instant {
        self.until
    }

    /// Commands that could not be given in this variant, each with why.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        Scenario::parse(include_str!("../../scenarios/redelivery.toml")).expect("it is built in")
    }

    #[test]
    fn a_variant_changes_the_consumers_protocol_and_nothing_else() {
        let of = scenario();
        let cooperative = Protocol::Cooperative.scenario(&of).expect("a scenario");
        let value = |scenario: &Scenario, key: &str| {
            scenario.consumers[0].overrides.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
        };
        assert_eq!(value(&cooperative, STRATEGY).as_deref(), Some("cooperative-sticky"));
        assert_eq!(value(&cooperative, SESSION), value(&of, SESSION));
        assert_eq!(
            (cooperative.seed, &cooperative.topics, &cooperative.producers),
            (of.seed, &of.topics, &of.producers)
        );
        assert_eq!(cooperative.cluster_config, of.cluster_config);
    }

    #[test]
    fn what_kafka_refuses_from_consumers_of_kip_848_is_taken_from_them() {
        let variant = Protocol::Consumer.scenario(&scenario()).expect("a scenario");
        let keys: Vec<&str> = variant.consumers[0].overrides.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["auto.offset.reset", GROUP_PROTOCOL]);
        let session = variant.cluster_config.iter().find(|(key, _)| key == "group.consumer.session.timeout.ms");
        assert_eq!(session.map(|(_, value)| value.as_str()), Some("6000"), "a silence is noticed as late as before");
    }

    #[test]
    fn a_step_that_adds_a_member_adds_it_under_the_variants_protocol() {
        let added =
            Command::parse("add consumer c9 group=bank topics=payments session.timeout.ms=7000").expect("a command");
        let Ok(Some(Command::AddConsumer(spec))) = Protocol::Cooperative.command(&added) else { panic!("it adds") };
        assert!(spec.overrides.iter().any(|(key, value)| key == STRATEGY && value == "cooperative-sticky"));
        let chosen = Command::parse("set consumer-c1 partition.assignment.strategy=sticky").expect("a command");
        assert_eq!(Protocol::Eager.command(&chosen), Ok(None));
    }

    #[test]
    fn an_assignor_of_the_broker_is_no_setting_of_a_classic_consumer() {
        let added = Command::parse(
            "add consumer c9 group=bank topics=payments group.protocol=consumer group.remote.assignor=range",
        );
        let Ok(Some(Command::AddConsumer(spec))) = Protocol::Eager.command(&added.expect("a command")) else {
            panic!("it adds")
        };
        assert!(spec.overrides.iter().all(|(key, _)| key != REMOTE_ASSIGNOR));
    }

    #[test]
    fn a_run_in_which_nothing_happens_any_more_comes_to_its_end() {
        let mut of = scenario();
        of.producers.clear();
        of.consumers.clear();
        let all = (1..=of.brokers.len()).map(|id| format!("kill broker-{id}"));
        let all = all.chain((0..of.brokers.len()).map(|at| format!("kill controller-{}", 101 + at)));
        let given = all.map(|line| (Instant::from_micros(1_000_000), Command::parse(&line).expect("a command")));
        let end = Instant::from_micros(30_000_000);
        let mut variant = Variant::new(&of, Protocol::Eager, &given.collect::<Vec<_>>(), end).expect("a variant");
        assert!(variant.run(|| true));
        assert_eq!(variant.world().now(), end);
    }

    #[test]
    fn a_run_in_pieces_is_the_same_run() {
        let run = |pieces: bool| {
            let of = scenario();
            let end = Instant::ZERO + of.duration;
            let mut variant = Variant::new(&of, Protocol::Eager, &[], end).expect("it runs");
            while !variant.run(|| !pieces) {}
            let group = variant.rebalances().of_group("bank").expect("the group");
            (variant.world().trace_hash(), group.rebalances().map(|rebalance| rebalance.score).collect::<Vec<_>>())
        };
        assert_eq!(run(true), run(false));
    }
}
