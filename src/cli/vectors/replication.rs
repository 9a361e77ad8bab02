//! `high_watermark` and `epoch_cache`: one partition's rules.

use serde::Deserialize;
use serde_json::Value;

use super::file::parse;
use super::finding::Findings;
use crate::kafka::epochs::EpochCache;
use crate::kafka::ids::{LeaderEpoch, Offset};
use crate::kafka::replica::{FollowerState, WatermarkVote, high_watermark_candidate};
use crate::time::{Duration, Instant};

/// One evaluation of the leader's rule.
#[derive(Deserialize)]
struct WatermarkCase {
    leader_leo: Offset,
    before_hw: Offset,
    isr: Vec<i32>,
    maximal_isr: Option<Vec<i32>>,
    min_isr: u32,
    replication_factor: u32,
    #[serde(default)]
    under_min_isr: bool,
    #[serde(default = "default_lag")]
    replica_lag_time_max_ms: u64,
    followers: Vec<CaseFollower>,
    expect: WatermarkExpected,
}

#[derive(Deserialize)]
struct CaseFollower {
    id: i32,
    leo: Offset,
    ms_since_caught_up: Option<u64>,
    isr_eligible: bool,
}

#[derive(Deserialize)]
struct WatermarkExpected {
    advanced: bool,
    after_hw: Offset,
}

/// The default of `replica.lag.time.max.ms`.
fn default_lag() -> u64 {
    30_000
}

pub fn high_watermark(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: WatermarkCase = parse(case)?;
    // A topic cannot ask for more in-sync replicas than it has.
    let effective_min_isr = case.min_isr.min(case.replication_factor);
    findings.compare("under_min_isr", &case.under_min_isr, &((case.isr.len() as u64) < u64::from(effective_min_isr)));

    let maximal_isr = case.maximal_isr.as_ref().unwrap_or(&case.isr);
    let lag_time_max = Duration::millis(case.replica_lag_time_max_ms);
    let votes = case.followers.iter().map(|follower| WatermarkVote {
        log_end: follower.leo,
        in_maximal_isr: maximal_isr.contains(&follower.id),
        caught_up: follower.is_caught_up(case.leader_leo, lag_time_max),
        isr_eligible: follower.isr_eligible,
    });
    let reached = high_watermark_candidate(case.before_hw, case.leader_leo, case.isr.len(), effective_min_isr, votes);
    findings.compare("advanced", &case.expect.advanced, &reached.is_some());
    findings.compare("after_hw", &case.expect.after_hw, &reached.unwrap_or(case.before_hw));
    Ok(())
}

impl CaseFollower {
    fn is_caught_up(&self, leader_end: Offset, lag_time_max: Duration) -> bool {
        /// Late enough that what a case counts back from it is not before the run began.
        const NOW_MS: u64 = 1 << 50;
        let at = |ago_ms: u64| Instant::from_micros(NOW_MS.saturating_sub(ago_ms).saturating_mul(1000));
        let mut state = FollowerState::default();
        state.log_end = (self.leo >= 0).then_some(self.leo);
        state.last_caught_up = self.ms_since_caught_up.map(at);
        state.is_caught_up(at(0), leader_end, lag_time_max)
    }
}

/// What is done to a cache that begins empty.
#[derive(Deserialize)]
struct EpochCase {
    ops: Vec<Value>,
}

pub fn epoch_cache(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: EpochCase = parse(case)?;
    let mut cache = EpochCache::default();
    for (at, operation) in case.ops.iter().enumerate() {
        let cells = operation.as_array().map_or(&[][..], Vec::as_slice);
        operate(&mut cache, cells, &format!("operation {} {operation}", at + 1), findings)
            .ok_or_else(|| format!("operation {}: {operation} is none of those that the format knows", at + 1))?;
    }
    Ok(())
}

/// Does one operation; those with an arrow are questions. `None` where it is not one.
fn operate(cache: &mut EpochCache, cells: &[Value], what: &str, findings: &mut Findings) -> Option<()> {
    let (name, rest) = cells.split_first()?;
    let epoch = |cell: &Value| cell.as_i64().and_then(|number| i32::try_from(number).ok()).map(LeaderEpoch);
    match (name.as_str()?, rest) {
        ("assign", [of, start]) => cache.assign(epoch(of)?, start.as_i64()?),
        ("truncateFromEnd", [end]) => cache.truncate_from_end(end.as_i64()?),
        ("truncateFromStart", [start]) => cache.truncate_from_start(start.as_i64()?),
        ("endOffsetFor", [of, log_end, arrow, found, end]) if arrow == "=>" => {
            // Epoch -1 asks for no epoch, and (-1, -1) is no answer.
            let requested = Some(epoch(of)?).filter(|epoch| epoch.0 != -1);
            let got =
                cache.end_offset_for(requested, log_end.as_i64()?).map_or((-1, -1), |(epoch, end)| (epoch.0, end));
            findings.compare(what, &(epoch(found)?.0, end.as_i64()?), &got);
        }
        ("epochForOffset", [offset, arrow, found]) if arrow == "=>" => {
            let expected = if found.is_null() { None } else { Some(epoch(found)?.0) };
            findings.compare(what, &expected, &cache.epoch_for_offset(offset.as_i64()?).map(|epoch| epoch.0));
        }
        ("entries", [arrow, found]) if arrow == "=>" => {
            let expected: Vec<(i32, Offset)> = parse(found).ok()?;
            findings.compare(
                what,
                &expected,
                &cache.entries().iter().map(|(epoch, start)| (epoch.0, *start)).collect(),
            );
        }
        _ => return None,
    }
    Some(())
}
