//! `placement`: which brokers get the replicas of new partitions.

use serde::Deserialize;
use serde_json::Value;

use super::file::parse;
use super::finding::Findings;
use crate::kafka::ids::BrokerId;
use crate::kafka::placement::{PlacementError, UsableBroker, place};

/// Brokers, what to place, and the random numbers to do it with.
#[derive(Deserialize)]
struct Case {
    /// Every draw is this number, modulo its bound.
    rng_const: Option<u32>,
    /// `MockRandom(17)`: the generator of upstream's tests, with its seed.
    rng: Option<String>,
    brokers: Vec<CaseBroker>,
    partitions: u32,
    replication_factor: i32,
    expect: Expected,
}

#[derive(Deserialize)]
struct CaseBroker {
    id: i32,
    rack: Option<String>,
    #[serde(default)]
    fenced: bool,
}

/// Each partition's replicas, the preferred leader first; or the exception that Kafka throws.
#[derive(Deserialize)]
#[serde(untagged, expecting = "`expect` is a list of replica lists, or a table that names an `error`")]
enum Expected {
    Replicas(Vec<Vec<i32>>),
    Error { error: String },
}

pub fn placement(_: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let case: Case = parse(case)?;
    let mut draws = case.draws()?;
    let brokers: Vec<UsableBroker> = case.brokers.iter().map(CaseBroker::to_usable).collect();
    let placed = place(&brokers, case.partitions, case.replication_factor, &mut |bound| draws.below(bound))
        .map(|placed| placed.into_iter().map(|replicas| replicas.into_iter().map(|id| id.0).collect()).collect());
    compare(&case.expect, &placed, findings);
    Ok(())
}

fn compare(expected: &Expected, placed: &Result<Vec<Vec<i32>>, PlacementError>, findings: &mut Findings) {
    // All its errors are one exception in Kafka.
    const EXCEPTION: &str = "InvalidReplicationFactorException";
    match (expected, placed) {
        (Expected::Replicas(expected), Ok(placed)) => findings.compare("replicas", expected, placed),
        (Expected::Error { error }, Err(_)) => findings.compare("error", &error.as_str(), &EXCEPTION),
        (Expected::Error { error }, Ok(placed)) => findings.add("replicas", error, format!("{placed:?}")),
        (Expected::Replicas(expected), Err(why)) => {
            findings.add("replicas", format!("{expected:?}"), format!("{EXCEPTION}: {why}"));
        }
    }
}

impl Case {
    fn draws(&self) -> Result<Draws, String> {
        let seed = self.rng.as_deref().map(|text| {
            let seed = text.strip_prefix("MockRandom(").and_then(|rest| rest.strip_suffix(')'));
            seed.and_then(|seed| seed.parse::<i64>().ok())
                .ok_or_else(|| format!("`rng`: `{text}` is no MockRandom(SEED)"))
        });
        match (self.rng_const, seed) {
            (Some(number), None) => Ok(Draws::Constant(number)),
            (None, Some(seed)) => Ok(Draws::MockRandom(seed?.cast_unsigned())),
            _ => Err("it needs one of `rng_const` and `rng`".to_owned()),
        }
    }
}

impl CaseBroker {
    fn to_usable(&self) -> UsableBroker {
        UsableBroker { id: BrokerId(self.id), rack: self.rack.as_deref().map(Into::into), fenced: self.fenced }
    }
}

/// Where the random numbers of a case come from.
enum Draws {
    Constant(u32),
    MockRandom(u64),
}

impl Draws {
    /// A number in `0..bound`, as `nextInt(bound)` would give it.
    fn below(&mut self, bound: u32) -> u32 {
        match self {
            Self::Constant(number) => *number % bound,
            Self::MockRandom(state) => next_int(state, bound),
        }
    }
}

/// `java.util.Random.nextInt(bound)` over upstream's `MockRandom`.
fn next_int(state: &mut u64, bound: u32) -> u32 {
    let mut next_31_bits = || {
        *state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        (*state >> 33) as u32
    };
    if bound.is_power_of_two() {
        return ((u64::from(bound) * u64::from(next_31_bits())) >> 31) as u32;
    }
    loop {
        let drawn = next_31_bits();
        let within = drawn % bound;
        // Draws from the incomplete last round of `bound` numbers are thrown away.
        if u64::from(drawn - within) + u64::from(bound - 1) < 1 << 31 {
            return within;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first states after 17, worked out by hand with the recurrence that `MockRandom` states.
    #[test]
    fn mock_random_draws_the_top_bits_of_its_state() {
        let first = 17_u64.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        let second = first.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(3_037_000_493);
        let mut state = 17;
        assert_eq!(u64::from(next_int(&mut state, 1 << 30)), first >> 34);
        assert_eq!(u64::from(next_int(&mut state, 1000)), (second >> 33) % 1000);
    }
}
