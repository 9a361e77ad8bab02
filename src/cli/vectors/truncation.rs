//! `truncation`: what a follower fetches, is told, and cuts off, until its log fits the leader's.

use serde::Deserialize;
use serde_json::{Value, json};

use super::file::parse;
use super::finding::Findings;
use crate::kafka::config::Compression;
use crate::kafka::effects::Effects;
use crate::kafka::ids::{LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::kafka::log::Log;
use crate::kafka::record::{Batch, BatchBuilder};
use crate::kafka::replica::Replica;

#[derive(Deserialize)]
struct TruncationCase {
    leader: CaseLog,
    follower: CaseLog,
    steps: Vec<Value>,
    end: CaseEnd,
}

#[derive(Deserialize)]
struct CaseLog {
    /// Each epoch and its first offset.
    epochs: Vec<(i32, Offset)>,
    leo: Offset,
    #[serde(default)]
    start: Option<Offset>,
}

#[derive(Deserialize)]
struct CaseEnd {
    leo: Offset,
    epochs: Vec<(i32, Offset)>,
}

pub fn truncation(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: TruncationCase = parse(case)?;
    let mut cuts: Vec<Offset> = Vec::new();
    for log in [&case.leader, &case.follower] {
        cuts.push(log.leo);
        cuts.extend(log.epochs.iter().map(|(_, start)| *start));
    }
    cuts.sort_unstable();
    let leader = case.leader.replica(&cuts).map_err(|why| format!("`leader`: {why}"))?;
    let mut follower = case.follower.replica(&cuts).map_err(|why| format!("`follower`: {why}"))?;

    let steps = fetch_until_it_fits(&leader, &mut follower);
    findings.compare("steps", &case.steps, &steps);
    findings.compare("end.leo", &case.end.leo, &follower.log().end());
    let epochs = follower.log().epochs().entries().iter().map(|(epoch, start)| (epoch.0, *start)).collect();
    findings.compare("end.epochs", &case.end.epochs, &epochs);
    Ok(())
}

/// The follower's fetches, and what comes of each, up to the first that brings records or an error.
fn fetch_until_it_fits(leader: &Replica, follower: &mut Replica) -> Vec<Value> {
    let mut steps = Vec::new();
    loop {
        let (offset, epoch) = (follower.log().end(), follower.log().last_epoch());
        let number = epoch.map(|epoch| epoch.0);
        let answer = match leader.place(epoch, offset) {
            Ok(None) => "records",
            Err(error) => error.name(),
            Ok(Some((diverging, end))) => {
                follower.truncate_to_divergence(diverging, end, &mut Effects::default());
                let to = follower.log().end();
                steps.push(json!({
                    "fetch_offset": offset, "last_fetched_epoch": number,
                    "diverging": [diverging.0, end], "truncate_to": to,
                }));
                // An epoch that never wrote anything may be all that goes. A round after which everything is as it was
                // would be repeated for ever.
                if to == offset && follower.log().last_epoch() == epoch {
                    return steps;
                }
                continue;
            }
        };
        steps.push(json!({ "fetch_offset": offset, "last_fetched_epoch": number, "answer": answer }));
        return steps;
    }
}

impl CaseLog {
    /// A replica with such a log: a batch from each of `cuts` to the next, for a log is cut off between batches.
    fn replica(&self, cuts: &[Offset]) -> Result<Replica, String> {
        let first = self.epochs.first().map(|(_, start)| *start);
        let start = self.start.unwrap_or(first.unwrap_or(self.leo));
        let ascending = self.epochs.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1);
        let within =
            start >= 0 && self.leo >= start && self.epochs.iter().all(|(_, at)| (start..=self.leo).contains(at));
        if !ascending || !within || first.unwrap_or(self.leo) != start {
            return Err("its epochs do not ascend from its start to its end".to_owned());
        }
        let mut log = Log::default();
        log.truncate_fully_and_start_at(start);
        let ends = cuts.iter().filter(|cut| (start + 1..=self.leo).contains(cut));
        for end in ends {
            let base = log.end();
            if base < *end {
                log.append_as_follower(self.batch(base, *end)?);
            }
        }
        // An epoch may have begun without having written anything.
        if let Some((last, _)) = self.epochs.last() {
            log.begin_epoch(LeaderEpoch(*last));
        }
        Ok(Replica::open(TopicPartition::new(TopicId(0), 0), log, 0))
    }

    /// One batch for those offsets, with a single record at its last.
    fn batch(&self, base: Offset, end: Offset) -> Result<Batch, String> {
        let epoch = self.epochs.iter().rev().find(|(_, start)| *start <= base).map_or(-1, |(epoch, _)| *epoch);
        let mut builder = BatchBuilder::new(Compression::None);
        builder.append(0, None, None, &[]);
        let mut batch = builder.build();
        batch.base_offset = base;
        batch.leader_epoch = LeaderEpoch(epoch);
        batch.last_offset_delta = i32::try_from(end - base - 1).map_err(|_| "it is too long".to_owned())?;
        Ok(batch)
    }
}
