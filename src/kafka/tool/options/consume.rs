//! `kafka-console-consumer` (`ConsoleConsumer`, `DefaultMessageFormatter`).

use super::super::command::{ConsoleConsumer, Print, StartAt};
use super::flags::{Flag, Given, Takes, Usage, flag};
use crate::time::Duration;

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool helps to read data from Kafka topics and outputs it to standard output.\n\
            Without --max-messages and --timeout-ms it ends here once it has read what was there when it began.",
    flags: &FLAGS,
};

const FLAGS: [Flag; 11] = [
    flag("topic", Takes::Value("topic"), "The topic to consume on."),
    flag("partition", Takes::Value("partition"), "The partition to consume from."),
    flag(
        "offset",
        Takes::Value("consume offset"),
        "The offset to consume from (a non-negative number), or 'earliest' which means from beginning, or 'latest' which \
         means from end",
    ),
    flag(
        "from-beginning",
        Takes::Nothing,
        "Start with the earliest message present in the log rather than the latest message.",
    ),
    flag("max-messages", Takes::Value("num_messages"), "The maximum number of messages to consume before exiting."),
    flag(
        "timeout-ms",
        Takes::Value("timeout_ms"),
        "If specified, exit if no message is available for consumption for the specified interval.",
    ),
    flag(
        "formatter-property",
        Takes::Value("prop"),
        "The properties to initialize the message formatter: print.timestamp, print.key, print.offset, print.delivery, \
         print.epoch, print.partition, print.headers, print.value=true|false, key.separator, line.separator, \
         headers.separator, null.literal",
    ),
    flag("property", Takes::Value("prop"), "(DEPRECATED) The same as --formatter-property."),
    flag("isolation-level", Takes::Value("String"), "Taken and ignored: there are no transactions here yet."),
    flag("skip-message-on-error", Takes::Nothing, "Taken and ignored: every message can be shown."),
    flag("group", Takes::Value("consumer group id"), "Not available: the tool reads without a group."),
];

/// Reads the options.
pub fn parse(given: &Given) -> Result<ConsoleConsumer, String> {
    let topic = given.text("topic")?;
    let topic =
        topic.ok_or_else(|| given.wrong("Exactly one of the following arguments is required: [topic], [include]"))?;
    if given.has("group") {
        return Err(given.wrong("found --group, which is not available here; `add consumer NAME group=G topics=T` is"));
    }
    let partition = given.number("partition")?;
    if partition.is_some() && given.has("from-beginning") && given.has("offset") {
        return Err(given.wrong("Options from-beginning and offset cannot be specified together."));
    }
    if partition.is_none() && given.has("offset") {
        return Err(given.wrong("The partition is required when offset is specified."));
    }
    Ok(ConsoleConsumer {
        topic,
        partition,
        from: start_at(given)?,
        max_messages: given.number("max-messages")?,
        timeout: given.number::<u64>("timeout-ms")?.map(|ms| Duration::millis(ms.min(1 << 40))),
        print: print(given)?,
    })
}

fn start_at(given: &Given) -> Result<StartAt, String> {
    match given.value("offset")? {
        None if given.has("from-beginning") => Ok(StartAt::Earliest),
        None => Ok(StartAt::Latest),
        Some(word) if word.eq_ignore_ascii_case("earliest") => Ok(StartAt::Earliest),
        Some(word) if word.eq_ignore_ascii_case("latest") => Ok(StartAt::Latest),
        Some(number) => number.parse().ok().filter(|offset| *offset >= 0).map(StartAt::Offset).ok_or_else(|| {
            given.wrong(&format!(
                "The provided offset value '{number}' is incorrect. Valid values are 'earliest', 'latest', or a \
                 non-negative long."
            ))
        }),
    }
}

fn print(given: &Given) -> Result<Print, String> {
    let mut print = Print::default();
    for (key, value) in given.properties(["formatter-property", "property"])? {
        let is_true = value.trim().eq_ignore_ascii_case("true");
        match key.as_str() {
            "print.timestamp" => print.timestamp = is_true,
            "print.partition" => print.partition = is_true,
            "print.offset" => print.offset = is_true,
            "print.delivery" => print.delivery = is_true,
            "print.epoch" => print.epoch = is_true,
            "print.headers" => print.headers = is_true,
            "print.key" => print.key = is_true,
            "print.value" => print.value = is_true,
            "key.separator" => print.key_separator = value,
            "line.separator" => print.line_separator = value,
            "headers.separator" => print.headers_separator = value,
            "null.literal" => print.null_literal = value,
            other => return Err(given.wrong(&format!("found the property `{other}`, which the formatter has not"))),
        }
    }
    Ok(print)
}

impl Default for Print {
    fn default() -> Self {
        Self {
            timestamp: false,
            partition: false,
            offset: false,
            delivery: false,
            epoch: false,
            headers: false,
            key: false,
            value: true,
            key_separator: "\t".into(),
            line_separator: "\n".into(),
            headers_separator: ",".into(),
            null_literal: "null".into(),
        }
    }
}
