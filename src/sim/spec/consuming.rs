//! What a consumer's application does, as scenario files, `add consumer` and `set` write it: what it reads, when it
//! commits, and what happens to records that it cannot work on.

use super::{ConsumerSpec, Settings, check_topic_name};
use crate::kafka::config::ConsumerConfig;
use crate::kafka::consumer::{CommitMode, Failing, Reads, Task, TopicPattern};
use crate::kafka::fact::FailurePolicy;
use crate::time::{Duration, Instant};

/// What an application does besides its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// `type`: it is a member of a share group.
    pub share: bool,
    /// What it commits itself, whatever `enable.auto.commit` says.
    pub commit: CommitMode,
    /// A record with this text in its key or value makes it fail.
    pub fails_on: Option<String>,
    pub on_failure: FailurePolicy,
    /// Where dead letters go.
    pub dead_letter_topic: Option<String>,
}

impl Default for Conduct {
    fn default() -> Self {
        // An exception that nobody catches ends the process.
        Self {
            share: false,
            commit: CommitMode::None,
            fails_on: None,
            on_failure: FailurePolicy::Crash,
            dead_letter_topic: None,
        }
    }
}

/// The keys of what a consumer reads; one of them is given.
pub const READING: &[&str] = &["topics", "topics-pattern", "assign"];

/// The key that says what kind of consumer it is, which never changes: `consumer`, or `share` for a share group's member.
pub const TYPE: &str = "type";

/// The keys of what its application does besides.
pub const CONDUCT: &[&str] = &["commit", "fails-on", "on-failure", "dead-letter-topic"];

const POLICIES: [(FailurePolicy, &str); 4] = [
    (FailurePolicy::Crash, "crash"),
    (FailurePolicy::Skip, "skip"),
    (FailurePolicy::Retry, "retry"),
    (FailurePolicy::DeadLetter, "dead-letter"),
];

/// A partition by its name: `orders-0`.
pub fn partition(text: &str) -> Option<(String, u32)> {
    let (topic, number) = text.rsplit_once('-')?;
    let partition: u32 = number.parse().ok()?;
    (check_topic_name(topic).is_ok() && partition.to_string() == number).then(|| (topic.to_owned(), partition))
}

/// What [`partition`] takes, for error messages.
pub const PARTITION: &str = "a partition such as `orders-0`";

/// As it was read.
pub fn show_partitions(partitions: &[(String, u32)], between: &str) -> String {
    let shown: Vec<String> = partitions.iter().map(|(topic, number)| format!("{topic}-{number}")).collect();
    shown.join(between)
}

impl ConsumerSpec {
    /// A consumer without a name that reads nothing, and otherwise is as Kafka makes them.
    pub fn blank() -> Self {
        Self {
            name: String::new(),
            group: None,
            topics: Vec::new(),
            pattern: None,
            assign: Vec::new(),
            work: Duration::ZERO,
            conduct: Conduct::default(),
            start: Instant::ZERO,
            config: ConsumerConfig::default(),
            overrides: Settings::new(),
        }
    }

    /// Sets what [`TYPE`] or one of the keys in [`READING`] or [`CONDUCT`] says. The error is what is allowed.
    pub fn set_own(&mut self, key: &str, value: &str) -> Result<(), String> {
        let given = || Some(value.to_owned()).filter(|value| !value.is_empty() && value != "null");
        match key {
            "topics" => {
                let topics: Vec<String> = value.split(',').map(str::to_owned).collect();
                for topic in &topics {
                    check_topic_name(topic)
                        .map_err(|reason| format!("topics such as `orders,payments`, but {reason}"))?;
                }
                (self.topics, self.pattern, self.assign) = (topics, None, Vec::new());
            }
            "topics-pattern" => {
                TopicPattern::parse(value).map_err(|reason| format!("a regular expression, but {reason}"))?;
                (self.topics, self.pattern, self.assign) = (Vec::new(), Some(value.to_owned()), Vec::new());
            }
            "assign" => {
                let partitions = value.split(',').map(partition).collect::<Option<Vec<_>>>();
                let partitions = partitions.ok_or("partitions such as `orders-0,orders-2`")?;
                (self.topics, self.pattern, self.assign) = (Vec::new(), None, partitions);
            }
            TYPE => {
                let types = [("consumer", false), ("share", true)];
                let found = types.iter().find(|(name, _)| *name == value);
                self.conduct.share = found.ok_or("`consumer` or `share`")?.1;
            }
            "commit" => {
                self.conduct.commit = CommitMode::parse(value).ok_or("`none`, `sync` or `async`")?;
            }
            "fails-on" => self.conduct.fails_on = given(),
            "on-failure" => {
                let policy = POLICIES.iter().find(|(_, name)| *name == value);
                self.conduct.on_failure = policy.ok_or("`crash`, `skip`, `retry` or `dead-letter`")?.0;
            }
            "dead-letter-topic" => {
                if let Some(topic) = given() {
                    check_topic_name(&topic).map_err(|reason| format!("a topic's name, but {reason}"))?;
                }
                self.conduct.dead_letter_topic = given();
            }
            _ => return Err("another key".into()),
        }
        Ok(())
    }

    /// Whether its own keys fit together.
    pub fn check_own(&self) -> Result<(), String> {
        if self.conduct.on_failure == FailurePolicy::DeadLetter && self.conduct.dead_letter_topic.is_none() {
            return Err("found `on-failure` = `dead-letter` and no `dead-letter-topic`, allowed are both".into());
        }
        if self.conduct.share {
            return self.check_share();
        }
        Ok(())
    }

    /// A share consumer subscribes to topics in a group, and has no offsets to commit.
    fn check_share(&self) -> Result<(), String> {
        if self.group.is_none() {
            return Err("found `type` = `share` and no `group`, allowed are both".into());
        }
        if self.topics.is_empty() {
            return Err("found `type` = `share` and no `topics`, allowed are both".into());
        }
        if self.conduct.commit != CommitMode::None {
            return Err("found `type` = `share` and `commit`, allowed is one of them".into());
        }
        if self.conduct.on_failure == FailurePolicy::DeadLetter {
            return Err(
                "found `on-failure` = `dead-letter` with `type` = `share`, allowed is `crash`, `skip` or `retry`"
                    .into(),
            );
        }
        Ok(())
    }

    /// What it reads: its key, and the value as commands write it.
    pub fn reading(&self) -> (&'static str, String) {
        match &self.pattern {
            Some(pattern) => ("topics-pattern", pattern.clone()),
            None if self.assign.is_empty() => ("topics", self.topics.join(",")),
            None => ("assign", show_partitions(&self.assign, ",")),
        }
    }

    /// What its application does besides, as far as it is not the rule.
    pub fn conduct_given(&self) -> Vec<(&'static str, String)> {
        let Conduct { share, commit, fails_on, on_failure, dead_letter_topic } = &self.conduct;
        let mut given = Vec::new();
        given.extend(share.then(|| (TYPE, "share".to_owned())));
        given.extend((*commit != CommitMode::None).then(|| ("commit", commit.name().to_owned())));
        given.extend(fails_on.iter().map(|text| ("fails-on", text.clone())));
        if *on_failure != FailurePolicy::Crash {
            given.extend(
                POLICIES.iter().filter(|(of, _)| of == on_failure).map(|(_, name)| ("on-failure", (*name).into())),
            );
        }
        given.extend(dead_letter_topic.iter().map(|topic| ("dead-letter-topic", topic.clone())));
        given
    }

    /// Every topic that it names.
    pub fn named_topics(&self) -> impl Iterator<Item = &str> {
        let assigned = self.assign.iter().map(|(topic, _)| topic.as_str());
        self.topics.iter().map(String::as_str).chain(assigned).chain(self.conduct.dead_letter_topic.as_deref())
    }

    /// What the consumer is to read.
    pub fn reads(&self) -> Reads {
        if !self.assign.is_empty() {
            return Reads::Partitions(self.assign.iter().map(|(topic, at)| (topic.as_str().into(), *at)).collect());
        }
        let topics = || Reads::Topics(self.topics.iter().map(|topic| topic.as_str().into()).collect());
        let pattern = self.pattern.as_deref().and_then(|pattern| TopicPattern::parse(pattern).ok());
        pattern.map_or_else(topics, Reads::Pattern)
    }

    /// What its application is to do.
    pub fn task(&self) -> Task {
        let failing = |on: &String| Failing {
            on: on.as_str().into(),
            then: self.conduct.on_failure,
            dead_letters: self.conduct.dead_letter_topic.as_deref().map(Into::into),
        };
        Task { work: self.work, commit: self.conduct.commit, failing: self.conduct.fails_on.as_ref().map(failing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_read_as_it_is_shown() {
        for (text, read) in [
            ("orders-0", Some(("orders", 0))),
            ("my-orders-12", Some(("my-orders", 12))),
            ("orders", None),
            ("orders-", None),
            ("orders-01", None),
            ("-1", None),
        ] {
            assert_eq!(partition(text), read.map(|(topic, number): (&str, u32)| (topic.to_owned(), number)), "{text}");
        }
    }
}
