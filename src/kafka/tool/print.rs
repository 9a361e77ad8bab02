//! What several tools print alike.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::error::ErrorCode;
use super::super::ids::TopicId;
use crate::rng::Rng;

/// A topic id as Kafka prints one: 128 bits, of which the cluster here needs fewer (`org.apache.kafka.common.Uuid`).
pub fn uuid(topic: TopicId) -> String {
    seeded_uuid(u64::from(topic.0), 516)
}

/// A `Uuid` that is always the same for a seed and a stream.
pub fn seeded_uuid(seed: u64, stream: u64) -> String {
    // An id that begins with a dash would read as an option; Kafka draws again, too.
    let mut rng = Rng::new(seed, stream);
    loop {
        let bytes: Vec<u8> = (0..4).flat_map(|_| rng.next_u32().to_be_bytes()).collect();
        let text = URL_SAFE_NO_PAD.encode(bytes);
        if !text.starts_with('-') {
            return text;
        }
    }
}

/// The class of Kafka's exception for an error (`Errors`).
pub fn exception(error: ErrorCode) -> String {
    let class = match error {
        ErrorCode::TopicAlreadyExists => "TopicExists".into(),
        ErrorCode::InvalidConfig => "InvalidConfiguration".into(),
        ErrorCode::InvalidTopicException => "InvalidTopic".into(),
        ErrorCode::RequestTimedOut => "Timeout".into(),
        ErrorCode::NonEmptyGroup => "GroupNotEmpty".into(),
        ErrorCode::UnknownServerError => "UnknownServer".into(),
        ErrorCode::MessageTooLarge => "RecordTooLarge".into(),
        ErrorCode::NetworkException => "Network".into(),
        other => camel_case(other.name()),
    };
    format!("org.apache.kafka.common.errors.{class}Exception")
}

fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    name.split('_').map(word).collect()
}

/// The items with a comma between each.
pub fn comma<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Columns as wide as their widest cell, with a tab behind each (`ToolsUtils.prettyPrintTable`).
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
        cells.chain(headers.get(column).map(|header| header.len())).max().unwrap_or(0)
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.enumerate().map(|(column, cell)| format!("{cell:width$}", width = width(column)));
        padded.map(|cell| cell + "\t").collect::<String>() + "\n"
    };
    let mut text = line(&mut headers.iter().copied());
    rows.iter().for_each(|row| text += &line(&mut row.iter().map(String::as_str)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_name_of_kafkas_exception() {
        assert_eq!(exception(ErrorCode::TopicAlreadyExists), "org.apache.kafka.common.errors.TopicExistsException");
        assert_eq!(
            exception(ErrorCode::InvalidPartitions),
            "org.apache.kafka.common.errors.InvalidPartitionsException"
        );
        assert_eq!(
            exception(ErrorCode::NotEnoughReplicasAfterAppend),
            "org.apache.kafka.common.errors.NotEnoughReplicasAfterAppendException"
        );
    }

    #[test]
    fn a_topic_id_has_kafkas_22_letters_and_is_always_the_same() {
        assert_eq!(uuid(TopicId(3)).len(), 22);
        assert_eq!(uuid(TopicId(3)), uuid(TopicId(3)));
        assert_ne!(uuid(TopicId(3)), uuid(TopicId(4)));
    }
}
