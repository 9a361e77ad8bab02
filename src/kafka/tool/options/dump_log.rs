//! `kafka-dump-log` (`DumpLogSegments`).
//!
//! In Kafka it runs on the machine whose files it reads. Here a file's name begins with that machine, as `scp` writes it:
//! `broker-1:orders-0/00000000000000000000.log`. The log directory before it may be given or left out.

use super::super::super::ids::BrokerId;
use super::super::command::{DumpLog, DumpedFile, FileKind};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly \
            corrupt log segment.",
    flags: &FLAGS,
};

const FLAGS: [Flag; 2] = [
    flag(
        "files",
        Takes::Value("file1, file2, ..."),
        "REQUIRED: The comma separated list of log and index files to be dumped, each with its broker: \
         broker-1:orders-0/00000000000000000000.log",
    ),
    flag("print-data-log", Takes::Nothing, "If set, printing the messages content when dumping data logs."),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<DumpLog, String> {
    let files = given.required("files")?;
    let file = |text: &str| {
        parse_file(text.trim()).ok_or_else(|| {
            format!(
                "found the file `{text}`, allowed is a `.log`, `.index` or `.timeindex` of a broker such as \
                 `broker-1:orders-0/00000000000000000000.log`"
            )
        })
    };
    Ok(DumpLog {
        files: files.split(',').map(file).collect::<Result<_, _>>()?,
        print_data_log: given.has("print-data-log"),
    })
}

fn parse_file(text: &str) -> Option<DumpedFile> {
    let (broker, path) = text.strip_prefix("broker-")?.split_once(':')?;
    let mut parts = path.rsplit('/');
    let (name, partition) = (parts.next()?, parts.next()?);
    let (base_offset, ending) = name.split_once('.')?;
    let kind = match ending {
        "log" => FileKind::Log,
        "index" => FileKind::Index,
        "timeindex" => FileKind::TimeIndex,
        _ => return None,
    };
    Some(DumpedFile {
        broker: BrokerId(broker.parse().ok()?),
        partition: partition.to_owned(),
        base_offset: base_offset.parse().ok()?,
        kind,
    })
}
