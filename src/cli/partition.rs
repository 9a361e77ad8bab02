//! `brokerscope partition`: where Kafka's default partitioner puts a key.

use super::Outcome;
use crate::kafka::partitioner::partition_for_key;

/// Print the partition that Kafka's default partitioner chooses for each key.
#[derive(Clone, Debug, clap::Args)]
pub struct PartitionArgs {
    /// How many partitions the topic has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    pub partitions: u32,
    /// Keys, as a program would send them: the bytes of their UTF-8.
    #[arg(value_name = "KEY", required = true, allow_negative_numbers = true)]
    pub keys: Vec<String>,
}

impl PartitionArgs {
    /// A line `KEY<TAB>partition` each.
    pub fn run(&self) -> Outcome {
        let line = |key: &String| format!("{key}\t{}\n", partition_for_key(key.as_bytes(), self.partitions));
        Outcome::success(self.keys.iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `vectors/murmur2.json`.
    #[test]
    fn each_key_is_a_line_with_its_partition() {
        let args = PartitionArgs { partitions: 12, keys: vec!["foobar".into(), "a-little-bit-long-string".into()] };
        assert_eq!(args.run(), Outcome::success("foobar\t6\na-little-bit-long-string\t8\n".into()));
    }
}
