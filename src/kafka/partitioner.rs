//! Where a record goes: by its key, or, without one, to the partition that is being stuck to (KIP-794).
//!
//! A key's partition counts **all** partitions of the topic, also those without a leader, so that a key stays where it
//! is. Records without a key stay on one partition until about `batch.size` bytes have gone there, which fills batches;
//! the next one is drawn, and the longer a partition's queue, the rarer it is drawn.
//!
//! Sources: `Utils.murmur2`, `Utils.abs`, `BuiltInPartitioner`, `RecordAccumulator.partitionReady`.

use crate::rng::Rng;

/// The partition of a record with this key (`BuiltInPartitioner.partitionForKey`). `partitions` must not be zero.
pub fn partition_for_key(key: &[u8], partitions: u32) -> u32 {
    to_positive(murmur2(key)) % partitions
}

/// The partition of `__consumer_offsets` that holds a group's state, by its group id; or of `__transaction_state`, by
/// the transactional id (`GroupCoordinatorService.partitionFor`). `partitions` must not be zero.
pub fn coordinator_partition(id: &str, partitions: u32) -> u32 {
    java_abs(java_hash_code(id)).cast_unsigned() % partitions
}

/// Kafka's hash of a key: MurmurHash2 of 32 bits, with Kafka's seed.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let word = tail.iter().rev().fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)).cast_signed()
}

/// Java's `String.hashCode`: over UTF-16 code units.
pub fn java_hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// Where Java's `HashMap` keeps a text among so many buckets, a power of two: 16 for up to twelve entries. It lists its
/// entries bucket by bucket.
pub fn java_hash_bucket(text: &str, buckets: u32) -> u32 {
    let hash = java_hash_code(text).cast_unsigned();
    (hash ^ (hash >> 16)) & (buckets - 1)
}

/// `Utils.abs`: the smallest number, which has no positive twin, becomes 0.
pub fn java_abs(number: i32) -> i32 {
    number.checked_abs().unwrap_or(0)
}

/// `Utils.toPositive`: without its sign bit, which is not its absolute value.
fn to_positive(number: i32) -> u32 {
    number.cast_unsigned() & 0x7fff_ffff
}

/// What a producer knows of one topic's partitions when it has to choose among them.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// All partitions of the topic; must not be zero.
    pub partitions: u32,
    /// Those that have a leader, ascending.
    pub available: &'a [u32],
}

/// The built-in partitioner for records without a key: one per producer and topic.
///
/// For each record: ask [`partition`](Self::partition); if that partition's queue holds no unfinished batch,
/// [`settle`](Self::settle) and ask again; append; then [`appended`](Self::appended). Before any of them, if it
/// [`may_switch`](Self::may_switch), [`measure`](Self::measure).
#[derive(Clone, Debug)]
pub struct StickyPartitioner {
    batch_size: u32,
    current: Option<u32>,
    /// Bytes appended to `current` since it was chosen.
    produced: u64,
    /// (partition, running sum of weights); empty: every available partition weighs the same.
    weights: Vec<(u32, u32)>,
}

impl StickyPartitioner {
    /// Sticks to a partition for `batch_size` bytes (`batch.size`, but at least 1).
    pub fn new(batch_size: u32) -> Self {
        Self { batch_size: batch_size.max(1), current: None, produced: 0, weights: Vec::new() }
    }

    /// The partition of the next record (`peekCurrentPartitionInfo`).
    pub fn partition(&mut self, choice: Choice<'_>, rng: &mut Rng) -> u32 {
        match self.current {
            Some(partition) => partition,
            None => self.switch(choice, rng),
        }
    }

    /// Whether the next record, or the end of a batch, may lead to a draw: the moment to [`measure`](Self::measure).
    pub fn may_switch(&self) -> bool {
        self.current.is_none() || self.produced >= u64::from(self.batch_size)
    }

    /// Switches if enough has been produced, where the current partition's last batch is finished or sent: the moment
    /// in which a switch splits no batch. True if it did.
    pub fn settle(&mut self, choice: Choice<'_>, rng: &mut Rng) -> bool {
        self.appended(0, true, choice, rng)
    }

    /// Counts the bytes of a record appended to the current partition, and maybe switches; true if it did
    /// (`updatePartitionInfo`).
    ///
    /// `all_batches_full`: no unfinished batch is left in that partition's queue. While there is one, a switch waits, up
    /// to twice `batch.size`.
    pub fn appended(&mut self, bytes: u32, all_batches_full: bool, choice: Choice<'_>, rng: &mut Rng) -> bool {
        if self.current.is_none() {
            return false;
        }
        self.produced += u64::from(bytes);
        let enough = u64::from(self.batch_size);
        let switches = (self.produced >= enough && all_batches_full) || self.produced >= 2 * enough;
        if switches {
            self.switch(choice, rng);
        }
        switches
    }

    /// Weighs the partitions by the batches that wait in their queues (`partitioner.adaptive.partitioning.enable`).
    ///
    /// `queues` has (partition, batches) of each that may be chosen: with a leader, and not withheld by
    /// `partitioner.availability.timeout.ms`. `queued` is how many partitions have ever had a batch: until that is all
    /// of the topic's, a partition not yet met would never be drawn, so all weigh the same.
    pub fn measure(&mut self, queues: &[(u32, u32)], queued: u32, partitions: u32) {
        self.weights.clear();
        let Some(longest) = queues.iter().map(|(_, length)| *length).max() else { return };
        let all_equal = queues.iter().all(|(_, length)| *length == longest);
        let complete = queues.len() as u64 == u64::from(queued);
        if queued < partitions || queued < 2 || (all_equal && complete) {
            return;
        }
        let mut sum = 0;
        for (partition, length) in queues {
            sum += longest + 1 - length;
            self.weights.push((*partition, sum));
        }
    }

    /// Draws the next partition (`nextPartition`); it may be the same one again.
    fn switch(&mut self, choice: Choice<'_>, rng: &mut Rng) -> u32 {
        let partition = match (self.weights.last(), choice.available) {
            (Some((_, total)), _) => {
                let drawn = rng.below(*total);
                self.weights[self.weights.partition_point(|(_, sum)| *sum <= drawn)].0
            }
            // Without any leader, one of all: its records wait until it has one.
            (None, []) => rng.below(choice.partitions),
            (None, available) => available[rng.below(available.len() as u32) as usize],
        };
        self.current = Some(partition);
        self.produced = 0;
        partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Choice<'_> = Choice { partitions: 3, available: &[0, 1, 2] };

    /// `UtilsTest.testMurmur2`.
    #[test]
    fn keys_hash_as_in_kafka() {
        assert_eq!(murmur2(b"21"), -973_932_308);
        assert_eq!(murmur2(b"foobar"), -790_332_482);
        assert_eq!(murmur2(b"a-little-bit-long-string"), -985_981_536);
        assert_eq!(murmur2(b"abc"), 479_470_107);
        assert_eq!(partition_for_key(b"foobar", 12), 6);
    }

    /// `GydZG_` hashes to the smallest number of 32 bits.
    #[test]
    fn a_group_whose_hash_has_no_positive_twin_lives_in_partition_0() {
        assert_eq!(java_hash_code("GydZG_"), i32::MIN);
        assert_eq!(coordinator_partition("GydZG_", 50), 0);
        assert_eq!(coordinator_partition("my-group", 50), 12);
        assert_eq!(coordinator_partition("🚀", 50), 27);
    }

    #[test]
    fn a_partition_is_left_after_batch_size_bytes_at_the_end_of_a_batch() {
        let (mut sticky, mut rng) = (StickyPartitioner::new(100), Rng::new(1, 1));
        let first = sticky.partition(THREE, &mut rng);
        assert!(!sticky.appended(99, true, THREE, &mut rng));
        assert_eq!(sticky.partition(THREE, &mut rng), first);
        assert!(!sticky.appended(1, false, THREE, &mut rng), "100 bytes, but the batch is not finished");
        assert!(sticky.settle(THREE, &mut rng), "now it is");
        assert!(!sticky.settle(THREE, &mut rng), "the count begins anew");
    }

    #[test]
    fn a_partition_is_left_after_twice_batch_size_in_any_case() {
        let (mut sticky, mut rng) = (StickyPartitioner::new(100), Rng::new(1, 1));
        sticky.partition(THREE, &mut rng);
        assert!(!sticky.appended(199, false, THREE, &mut rng));
        assert!(sticky.appended(1, false, THREE, &mut rng));
    }

    #[test]
    fn partitions_without_a_leader_are_passed_over() {
        let mut rng = Rng::new(1, 1);
        let drawn = draws(&StickyPartitioner::new(1), Choice { partitions: 3, available: &[0, 2] }, &mut rng);
        assert!(drawn[1] == 0 && drawn[0] > 400 && drawn[2] > 400, "{drawn:?}");
        let drawn = draws(&StickyPartitioner::new(1), Choice { partitions: 3, available: &[] }, &mut rng);
        assert!(drawn.iter().all(|count| *count > 250), "with no leader at all, any will do: {drawn:?}");
    }

    /// The example in `BuiltInPartitioner.updatePartitionLoadStats`: queues 0 3 1 weigh 4 1 3.
    #[test]
    fn longer_queues_are_drawn_less_often() {
        let (mut sticky, mut rng) = (StickyPartitioner::new(1), Rng::new(1, 1));
        sticky.measure(&[(0, 0), (1, 3), (2, 1)], 3, 3);
        assert_eq!(sticky.weights, [(0, 4), (1, 5), (2, 8)]);
        let drawn = draws(&sticky, THREE, &mut rng);
        assert!((450..550).contains(&drawn[0]) && (95..155).contains(&drawn[1]), "{drawn:?}");
    }

    #[test]
    fn queues_say_nothing_while_they_are_equal_or_some_partition_has_none_yet() {
        let mut sticky = StickyPartitioner::new(1);
        sticky.measure(&[(0, 2), (1, 2), (2, 2)], 3, 3);
        assert!(sticky.weights.is_empty(), "equal");
        sticky.measure(&[(0, 2), (1, 0)], 2, 3);
        assert!(sticky.weights.is_empty(), "partition 2 has never had a batch");
        sticky.measure(&[(0, 2), (1, 2)], 3, 3);
        assert_eq!(sticky.weights, [(0, 1), (1, 2)], "equal, but partition 2 is withheld");
        sticky.measure(&[], 3, 3);
        assert!(sticky.weights.is_empty(), "all are withheld");
    }

    fn draws(sticky: &StickyPartitioner, choice: Choice<'_>, rng: &mut Rng) -> [u32; 3] {
        let mut drawn = [0; 3];
        for _ in 0..1000 {
            drawn[sticky.clone().switch(choice, rng) as usize] += 1;
        }
        drawn
    }
}
