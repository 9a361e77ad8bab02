//! What a consumer reads, and what its application asks of it between two polls (`SubscriptionState`, and the methods of
//! `KafkaConsumer`).
//!
//! With the consumer protocol a pattern is the coordinator's to resolve (`SubscriptionPattern`, KIP-848).
//!
//! What we leave out: unsubscribe(), and asking for fresh metadata before every rebalance of a pattern: a client looks at
//! what it has.

use regex_lite::Regex;

use super::Consumer;
use super::fetcher::State;
use crate::kafka::effects::Effects;
use crate::kafka::fact::{Fact, ResetReason};
use crate::kafka::ids::{Name, Offset, TopicPartition};
use crate::time::Instant;

/// What a consumer reads (`SubscriptionState.SubscriptionType`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reads {
    /// subscribe() with a list. Without a group: every partition of these topics.
    Topics(Vec<Name>),
    /// subscribe() with a pattern: every topic that the client knows of and whose whole name matches.
    Pattern(TopicPattern),
    /// assign(): these partitions, whoever else reads them.
    Partitions(Vec<(Name, u32)>),
}

/// A pattern for names of topics. It must match the whole name, as Java's `Matcher.matches` wants it.
#[derive(Clone, Debug)]
pub struct TopicPattern {
    text: Name,
    regex: Regex,
}

impl TopicPattern {
    /// Reads a pattern; the error is a reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        match Regex::new(&format!("^(?:{text})$")) {
            Ok(regex) => Ok(Self { text: text.into(), regex }),
            Err(error) => Err(error.to_string()),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a topic of that name is meant.
    pub fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicPattern {}

impl Reads {
    /// The topics that are named, each once.
    pub fn topics(&self) -> Vec<Name> {
        let mut topics: Vec<Name> = Vec::new();
        let named: Vec<&Name> = match self {
            Self::Topics(topics) => topics.iter().collect(),
            Self::Pattern(_) => Vec::new(),
            Self::Partitions(partitions) => partitions.iter().map(|(topic, _)| topic).collect(),
        };
        for topic in named {
            if !topics.contains(topic) {
                topics.push(topic.clone());
            }
        }
        topics
    }
}

/// Where seek() goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeekTo {
    /// `seekToBeginning`.
    Beginning,
    /// `seekToEnd`.
    End,
    Offset(Offset),
}

/// What an application asks of its consumer between two polls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// seek().
    Seek(TopicPartition, SeekTo),
    /// pause(), or resume() where the flag is false.
    Pause(Vec<TopicPartition>, bool),
    /// subscribe() or assign().
    Read(Reads),
}

impl Consumer {
    /// What the application shall ask for before its next poll(). A consumer is used by one thread: while that works, it
    /// asks for nothing.
    pub fn ask(&mut self, ask: Ask) {
        self.asked.push_back(ask);
    }

    /// Whether it seeks its partitions itself (assign()), instead of being given them.
    pub(super) fn is_manual(&self) -> bool {
        matches!(self.reads, Reads::Partitions(_))
    }

    pub(super) fn is_subscribed_to(&self, topic: &Name) -> bool {
        match &self.reads {
            Reads::Pattern(pattern) => pattern.matches(topic),
            Reads::Topics(_) | Reads::Partitions(_) => self.topics.contains(topic),
        }
    }

    /// The metadata it needs from here on.
    pub(super) fn want_metadata(&mut self) {
        match &self.reads {
            Reads::Pattern(_) => self.view.want_everything(),
            Reads::Topics(_) | Reads::Partitions(_) => self.view.want(self.topics.clone()),
        }
    }

    /// Fresh metadata: a pattern may mean other topics now (`updatePatternSubscription`).
    pub(super) fn match_pattern(&mut self) {
        if let Reads::Pattern(pattern) = &self.reads {
            let matching = self.view.topics().filter(|(name, topic)| !topic.internal && pattern.matches(name));
            self.topics = matching.map(|(name, _)| name.clone()).collect();
        }
    }

    /// The leader may know of a topic that matches and is not known here yet (`maybeUpdateJoinedSubscription`).
    pub(super) fn trust_leader(&mut self, topic: &Name) {
        if !self.topics.contains(topic) {
            self.topics.push(topic.clone());
            self.topics.sort_unstable();
            self.membership.joining.joined_also_for(topic);
        }
    }

    /// Before a poll(): does what the application was to ask for.
    pub(super) fn do_what_was_asked(&mut self, now: Instant, out: &mut Effects) {
        while let Some(ask) = self.asked.pop_front() {
            match ask {
                Ask::Seek(partition, to) => self.seek(now, partition, to, out),
                Ask::Pause(mut partitions, paused) => {
                    partitions.retain(|partition| self.fetcher.set_paused(*partition, paused));
                    if !partitions.is_empty() {
                        out.note(Fact::PartitionsPaused { partitions, paused });
                    }
                }
                Ask::Read(reads) => {
                    self.topics = reads.topics();
                    self.reads = reads;
                    self.want_metadata();
                    self.match_pattern();
                }
            }
        }
    }

    /// A partition that is not its own any more it cannot seek (`IllegalStateException`).
    fn seek(&mut self, now: Instant, partition: TopicPartition, to: SeekTo, out: &mut Effects) {
        let Some(state) = self.fetcher.seek(partition) else { return };
        state.not_before(now);
        match to {
            SeekTo::Offset(offset) => {
                state.start_at(offset, None);
                out.note(Fact::PositionReset { partition, offset, reason: ResetReason::Sought });
            }
            SeekTo::Beginning | SeekTo::End => {
                state.sought_end = to == SeekTo::End;
                state.state = State::AwaitsReset(ResetReason::Sought);
            }
        }
    }

    /// Without a group's help: every partition of the topics, or those of assign(), as soon as they are known.
    pub(super) fn read_by_itself(&mut self) {
        let mut partitions: Vec<TopicPartition> = match &self.reads {
            Reads::Partitions(named) => {
                let known = |(name, partition): &(Name, u32)| {
                    let topic = self.view.topic(name).filter(|topic| (*partition as usize) < topic.partitions.len())?;
                    Some(TopicPartition::new(topic.id, *partition))
                };
                named.iter().filter_map(known).collect()
            }
            Reads::Topics(_) | Reads::Pattern(_) => {
                let topics = self.topics.iter().filter_map(|name| self.view.topic(name));
                let of_topic = |topic: &crate::kafka::cluster_view::TopicView| {
                    let id = topic.id;
                    (0..topic.partitions.len() as u32).map(move |partition| TopicPartition::new(id, partition))
                };
                topics.flat_map(of_topic).collect()
            }
        };
        partitions.sort_unstable();
        let fresh = match self.group {
            Some(_) => State::AwaitsCommitted,
            None => State::AwaitsReset(ResetReason::NoOffset),
        };
        self.fetcher.read_only(&partitions, fresh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let pattern = TopicPattern::parse("orders-.*|users").unwrap();
        for (name, matches) in
            [("orders-eu", true), ("users", true), ("my-orders-eu", false), ("users2", false), ("orders", false)]
        {
            assert_eq!(pattern.matches(name), matches, "{name}");
        }
        assert_eq!(pattern.text(), "orders-.*|users");
        assert!(TopicPattern::parse("orders-(").is_err());
    }
}
