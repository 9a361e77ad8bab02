//! Members that say what they want to read by a regular expression. The coordinator resolves it, for all members of a
//! group at once, not in the heartbeat itself but soon after (`maybeUpdateRegularExpressions`).
//!
//! Kafka takes the syntax of RE2/J; here it is that of regex-lite, which is the same for all but rare constructs. A topic
//! matches as a whole.

use std::collections::{BTreeMap, BTreeSet};

use regex_lite::Regex;

use super::target::metadata_hash;
use super::{Changes, ConsumerGroup, Member, Name, ResolvedRegex, Turn};
use crate::kafka::effects::Timer;
use crate::kafka::error::ErrorCode;
use crate::kafka::fact::{EpochReason, Fact};
use crate::kafka::group_log::{ConsumerRecord, RegexValue};
use crate::kafka::ids::Generation;
use crate::kafka::metadata::MetadataImage;
use crate::time::Duration;

/// Expressions are resolved no more often than this (`REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const REFRESH_MIN_INTERVAL: Duration = Duration::secs(10);

/// What a heartbeat did to its member's expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegexUpdate {
    NoChange,
    /// The group epoch rises once it is resolved.
    Updated,
    /// It is known already what it stands for.
    Resolved,
}

impl RegexUpdate {
    pub(super) fn is_updated(self) -> bool {
        self != Self::NoChange
    }

    pub(super) fn is_resolved(self) -> bool {
        self == Self::Resolved
    }
}

impl ConsumerGroup {
    /// Takes note of another expression, and has the group's expressions resolved where that is due.
    pub(super) fn update_regex(
        &self,
        before: &Member,
        after: &Member,
        changes: &mut Changes,
        turn: &mut Turn,
    ) -> Result<RegexUpdate, ErrorCode> {
        let mut update = RegexUpdate::NoChange;
        let mut refresh = false;
        if before.regex != after.regex {
            update = RegexUpdate::Updated;
            if let Some(old) = before.subscribed_regex().filter(|old| self.subscribers(old) == 1) {
                changes.records.push(ConsumerRecord::Regex { regex: old.clone(), value: None });
            }
            match after.subscribed_regex() {
                Some(new) if self.subscribers(new) == 0 => {
                    compile(new)?;
                    refresh = true;
                }
                Some(new) if self.regexes.contains_key(new) => update = RegexUpdate::Resolved,
                None if before.subscribed_regex().is_some() => update = RegexUpdate::Resolved,
                _ => {}
            }
        }
        let others = self.members().filter(|member| member.id != before.id && member.id != after.id);
        let wanted: BTreeSet<&Name> = others.chain([after]).filter_map(Member::subscribed_regex).collect();
        if wanted.is_empty() {
            return Ok(update);
        }
        let last = self.regexes.values().map(|resolved| resolved.timestamp).max();
        let now = turn.now.timestamp_ms();
        let later_than = |pause: Duration| last.is_none_or(|last| now > last + pause.as_millis() as i64);
        if later_than(REFRESH_MIN_INTERVAL) {
            let version = self.regexes.values().map(|resolved| resolved.version).max().unwrap_or(0);
            refresh |= wanted.len() != self.regexes.len()
                || version < i64::from(turn.image.topics_created)
                || later_than(turn.config.group_consumer_regex_refresh_interval);
            if refresh {
                turn.out.set_timer(turn.now, Timer::ConsumerGroupRegexes { group: self.id.clone() });
            }
        }
        Ok(update)
    }

    /// [`Timer::ConsumerGroupRegexes`] came: every expression stands for the topics that it matches now
    /// (`handleRegularExpressionsResult`).
    pub fn resolve_regexes(&mut self, turn: &Turn) -> Changes {
        let mut changes = Changes::default();
        let wanted: BTreeSet<Name> = self.members().filter_map(|member| member.subscribed_regex().cloned()).collect();
        let mut regexes = BTreeMap::new();
        let mut changed = false;
        for regex in wanted {
            let Ok(topics) = matching(&regex, turn.image) else { continue };
            let before = self.regexes.get(&regex).map(|resolved| &resolved.topics);
            changed |= before.map_or(!topics.is_empty(), |before| *before != topics);
            let version = i64::from(turn.image.topics_created);
            let resolved = ResolvedRegex { topics, version, timestamp: turn.now.timestamp_ms() };
            let value = RegexValue {
                topics: resolved.topics.iter().cloned().collect(),
                version,
                timestamp: resolved.timestamp,
            };
            changes.records.push(ConsumerRecord::Regex { regex: regex.clone(), value: Some(value) });
            regexes.insert(regex, resolved);
        }
        let hash = metadata_hash(self.members(), &regexes, turn.image);
        if changed || hash != self.metadata_hash {
            let epoch = Generation(self.epoch.0 + 1);
            changes.records.push(ConsumerRecord::Epoch(Some((epoch, hash))));
            let reason = EpochReason::SubscriptionChanged;
            changes.facts.push(Fact::GroupEpoch { group: self.id.clone(), epoch, reason });
            self.metadata_seen = Some(epoch);
        }
        changes
    }

    fn subscribers(&self, regex: &Name) -> usize {
        self.members().filter(|member| member.subscribed_regex() == Some(regex)).count()
    }
}

fn compile(regex: &str) -> Result<Regex, ErrorCode> {
    Regex::new(&format!("^(?:{regex})$")).map_err(|_| ErrorCode::InvalidRegularExpression)
}

/// The topics whose whole name matches, Kafka's own among them.
fn matching(regex: &str, image: &MetadataImage) -> Result<BTreeSet<Name>, ErrorCode> {
    let regex = compile(regex)?;
    Ok(image.topic_ids.keys().filter(|name| regex.is_match(name)).cloned().collect())
}
