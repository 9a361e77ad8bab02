//! Disks: what people do to them, what a power failure leaves, and the files that `kafka-dump-log` reads.

use super::{Machine, Remains, World};
use crate::kafka::broker::BrokerDisk;
use crate::kafka::disk::DiskChange;
use crate::kafka::ids::{Node, TopicPartition};
use crate::kafka::log;
use crate::kafka::tool::ToolCommand;
use crate::kafka::tool::command::{DumpedFile, FileKind, Job};

impl World {
    /// What a person does to a broker's disk, whether its process runs or not.
    pub(super) fn change_disk(&mut self, node: Node, change: DiskChange) {
        match self.slot_mut(node).map(|slot| &mut slot.machine) {
            Some(Machine::Broker(broker)) => broker.change_disk(change),
            Some(Machine::Off(Remains::Broker(disk))) => disk.change_disk(change),
            Some(wiped @ Machine::Off(Remains::Nothing)) => {
                let mut disk = BrokerDisk::default();
                disk.change_disk(change);
                *wiped = Machine::Off(Remains::Broker(Box::new(disk)));
            }
            _ => {}
        }
    }

    /// The machine has no power: of its disk only what was flushed is left. The metadata log is flushed before anybody is
    /// told of it (`KafkaRaftClient.flushVoterLog`), so controllers lose nothing.
    pub(super) fn lose_power(&mut self, node: Node, cause: u64) {
        let now = self.now;
        let lost = match self.slot_mut(node).map(|slot| &mut slot.machine) {
            Some(Machine::Off(Remains::Broker(disk))) => disk.lose_power(now),
            _ => Vec::new(),
        };
        for fact in lost {
            self.note(Some(node), cause, fact);
        }
    }

    /// `kafka-dump-log` runs beside a broker and reads its files, not its answers: the same command with what it will
    /// print. `None` for every other tool.
    pub(super) fn dumped(&self, command: &ToolCommand) -> Result<Option<ToolCommand>, String> {
        let Job::DumpLog(dump) = &command.job else { return Ok(None) };
        let mut text = String::new();
        for file in &dump.files {
            let lines = self.dump(file, dump.print_data_log)?;
            text += &format!("Dumping {}\n", file.path());
            lines.iter().for_each(|line| text += &format!("{line}\n"));
        }
        Ok(Some(ToolCommand { job: Job::Print(text), ..command.clone() }))
    }

    fn dump(&self, file: &DumpedFile, contents: bool) -> Result<Vec<String>, String> {
        let is_meant = |partition: &TopicPartition| self.names.partition(*partition) == file.partition;
        let known = self.image().into_iter().flat_map(|image| image.partitions()).map(|(partition, _)| partition);
        let partition = known.into_iter().find(is_meant);
        let log = partition.and_then(|partition| self.log(file.broker, partition));
        let log = log.ok_or_else(|| format!("broker-{} has no directory {}", file.broker, file.partition))?;
        let mut bases = log.segments().iter().map(|segment| segment.base_offset());
        if !bases.any(|base| base == file.base_offset) {
            let names = log.segments().iter().map(|segment| format!("{:020}.log", segment.base_offset()));
            let names: Vec<String> = names.collect();
            return Err(format!("there is no {}; there are {}", file.path(), names.join(", ")));
        }
        let lines = match file.kind {
            FileKind::Log => return Ok(log::dump_log(log, file.base_offset, contents)),
            FileKind::Index => log::dump_index(log, file.base_offset),
            FileKind::TimeIndex => log::dump_time_index(log, file.base_offset),
        };
        Ok(if lines.is_empty() { vec![format!("{} is empty.", file.path())] } else { lines })
    }
}
