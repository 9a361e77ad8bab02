//! `kafka-console-producer` (`ConsoleProducer`, `LineMessageReader`).

use super::super::super::config::{Acks, SettingValue};
use super::super::command::{ConsoleProducer, ConsoleRecord};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage = Usage {
    about: "This tool helps to read data from standard input and publish it to Kafka.\n\
            A command is one line here, so the input follows it, a word for each line: <<< 'first line' 'second line'",
    flags: &FLAGS,
};

const FLAGS: [Flag; 13] = [
    flag("topic", Takes::Value("topic"), "REQUIRED: The topic name to produce messages to."),
    flag("sync", Takes::Nothing, "Taken and ignored: the tool ends when all messages are sent."),
    flag(
        "request-required-acks",
        Takes::Value("request required acks"),
        "The required `acks` of the producer requests",
    ),
    flag(
        "reader-property",
        Takes::Value("prop"),
        "Properties of the line reader: parse.key=false, key.separator=<tab>, ignore.error=false, parse.headers=false, \
         headers.delimiter=<tab>, headers.separator=, headers.key.separator=: null.marker=",
    ),
    flag("property", Takes::Value("prop"), "(DEPRECATED) The same as --reader-property."),
    flag("command-property", Takes::Value("producer_prop"), "Producer config properties in the form key=value."),
    flag("producer-property", Takes::Value("producer_prop"), "(DEPRECATED) The same as --command-property."),
    flag("batch-size", Takes::Value("size"), "Taken and ignored: the input is sent as one batch a partition."),
    flag("timeout", Takes::Value("timeout_ms"), "Taken and ignored: the input is there at once."),
    flag("compression-codec", Takes::Maybe("compression-codec"), "Taken and ignored."),
    flag("message-send-max-retries", Takes::Value("Integer"), "Taken and ignored: 3."),
    flag("retry-backoff-ms", Takes::Value("Long"), "Taken and ignored: 100."),
    flag("max-block-ms", Takes::Value("max block on send"), "Taken and ignored: 60000."),
];

/// Reads the options, and the lines of the input with them.
pub fn parse(given: &Given, input: &[String]) -> Result<ConsoleProducer, String> {
    let topic = given.required("topic")?;
    let mut acks = given.text("request-required-acks")?.unwrap_or_else(|| "all".into());
    for (key, value) in given.properties(["command-property", "producer-property"])? {
        match key.as_str() {
            "acks" => acks = value,
            other => return Err(given.wrong(&format!("found the property `{other}`, allowed is `acks`"))),
        }
    }
    let allowed = format!("Invalid value {acks} for configuration acks: String must be one of: all, -1, 0, 1");
    let acks = Acks::parse(&acks, 0, 0).ok_or(allowed)?;
    let reader = Reader::new(given)?;
    let records = input.iter().zip(1..).map(|(line, number)| reader.read(line, number)).collect::<Result<_, _>>()?;
    Ok(ConsoleProducer { topic, acks, records })
}

/// The line reader's properties.
struct Reader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

impl Reader {
    fn new(given: &Given) -> Result<Self, String> {
        let mut reader = Self {
            parse_key: false,
            key_separator: "\t".into(),
            parse_headers: false,
            headers_delimiter: "\t".into(),
            headers_separator: ",".into(),
            headers_key_separator: ":".into(),
            ignore_error: false,
            null_marker: None,
        };
        for (key, value) in given.properties(["reader-property", "property"])? {
            let is_true = value.trim().eq_ignore_ascii_case("true");
            match key.as_str() {
                "parse.key" => reader.parse_key = is_true,
                "key.separator" => reader.key_separator = value,
                "parse.headers" => reader.parse_headers = is_true,
                "headers.delimiter" => reader.headers_delimiter = value,
                "headers.separator" => reader.headers_separator = value,
                "headers.key.separator" => reader.headers_key_separator = value,
                "ignore.error" => reader.ignore_error = is_true,
                "null.marker" => reader.null_marker = Some(value),
                other => {
                    return Err(given.wrong(&format!("found the property `{other}`, which the line reader has not")));
                }
            }
        }
        Ok(reader)
    }

    fn read(&self, line: &str, number: u32) -> Result<ConsoleRecord, String> {
        let cut =
            |enabled: bool, text, delimiter: &str, name: &str| self.cut(enabled, text, delimiter, name, line, number);
        let (headers, rest) = cut(self.parse_headers, line, &self.headers_delimiter, "headers delimiter")?;
        let (key, value) = cut(self.parse_key, rest, &self.key_separator, "key separator")?;
        let headers = headers.filter(|headers| !self.is_null(headers)).map(|headers| self.headers(headers, number));
        Ok(ConsoleRecord {
            key: key.filter(|key| !self.is_null(key)).map(str::to_owned),
            value: (!self.is_null(value)).then(|| value.to_owned()),
            headers: headers.transpose()?.unwrap_or_default(),
        })
    }

    /// The text before the delimiter, and what comes after it.
    fn cut<'a>(
        &self,
        enabled: bool,
        text: &'a str,
        delimiter: &str,
        name: &str,
        line: &str,
        number: u32,
    ) -> Result<(Option<&'a str>, &'a str), String> {
        if !enabled {
            return Ok((None, text));
        }
        match text.split_once(delimiter) {
            Some((before, after)) => Ok((Some(before), after)),
            None if self.ignore_error => Ok((None, text)),
            None => Err(format!("No {name} found on line number {number}: '{line}'")),
        }
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn headers(&self, text: &str, number: u32) -> Result<Vec<(String, Option<String>)>, String> {
        let header = |pair: &str| match pair.split_once(&self.headers_key_separator) {
            Some((key, value)) => Ok((key.to_owned(), (!self.is_null(value)).then(|| value.to_owned()))),
            None if self.ignore_error => Ok((pair.to_owned(), None)),
            None => Err(format!("No header key separator found in pair '{pair}' on line number {number}")),
        };
        text.split(&self.headers_separator).map(header).collect()
    }
}
