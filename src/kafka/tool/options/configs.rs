//! `kafka-configs` (`ConfigCommand.ConfigCommandOptions`).

use super::super::super::ids::BrokerId;
use super::super::command::{AlterConfigs, Configs, Entity};
use super::flags::{Flag, Given, Takes, Usage, flag};

/// The options.
pub const USAGE: Usage =
    Usage { about: "This tool helps to manipulate and describe entity config for a topic or broker", flags: &FLAGS };

const FLAGS: [Flag; 11] = [
    flag("alter", Takes::Nothing, "Alter the configuration for the entity."),
    flag("describe", Takes::Nothing, "List configs for the given entity."),
    flag("all", Takes::Nothing, "List all configs for the given entity, including static configs if available."),
    flag("entity-type", Takes::Value("String"), "Type of entity (topics/brokers)"),
    flag("entity-name", Takes::Value("String"), "Name of entity (topic name/broker id)"),
    flag("entity-default", Takes::Nothing, "Default entity name for brokers"),
    flag(
        "add-config",
        Takes::Value("String"),
        "Key Value pairs of configs to add. Square brackets can be used to group values which contain commas: \
         'k1=v1,k2=[v1,v2,v2],k3=v3'.",
    ),
    flag("delete-config", Takes::Value("String"), "config keys to remove 'k1,k2'"),
    flag("topic", Takes::Value("String"), "The topic's name."),
    flag("broker", Takes::Value("String"), "The broker's ID."),
    flag("broker-defaults", Takes::Nothing, "The config defaults for all brokers."),
];

/// The entity types of Kafka's tool.
const KNOWN: [&str; 8] = ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];

/// Reads the options.
pub fn parse(given: &Given) -> Result<Configs, String> {
    if given.has("alter") == given.has("describe") {
        return Err(given.wrong("Command must include exactly one action: --describe, --alter"));
    }
    given.excludes("describe", &["add-config", "delete-config"])?;
    let (kind, name) = entity(given)?;
    let entity = match (kind.as_str(), name) {
        ("topics", Some(name)) if name.is_empty() && given.has("describe") => {
            return Err("--entity-default must not be specified with --describe of topics".into());
        }
        (_, None) if given.has("alter") => {
            let what = if kind == "topics" {
                "An entity name must be specified with --alter of topics"
            } else {
                "An entity-name or default entity must be specified with --alter of users, clients, brokers or ips"
            };
            return Err(what.into());
        }
        ("topics", Some(name)) => Entity::Topic(name),
        ("topics", None) => Entity::Topics,
        (_, Some(name)) if name.is_empty() => Entity::BrokerDefaults,
        (_, Some(name)) => Entity::Broker(name.parse().map(BrokerId).map_err(|_| {
            format!("The entity name for brokers must be a valid integer broker id, but it is: {name}")
        })?),
        (_, None) => Entity::Brokers,
    };
    if given.has("describe") {
        return Ok(Configs::Describe { entity, all: given.has("all") });
    }
    if !given.has("add-config") && !given.has("delete-config") {
        return Err(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".into(),
        );
    }
    let mut settings = Vec::new();
    // Kafka deletes first, and adds what it adds afterwards.
    let deleted = given.values("delete-config").flat_map(|keys| keys.split(','));
    settings.extend(deleted.map(|key| (key.trim().to_owned(), None)));
    if let Some(added) = given.value("add-config")? {
        settings.extend(pairs(added)?.into_iter().map(|(key, value)| (key, Some(value))));
    }
    Ok(Configs::Alter(AlterConfigs { entity, settings }))
}

/// Type and name; the empty name is the default of all.
fn entity(given: &Given) -> Result<(String, Option<String>), String> {
    let short = [("topic", "topics"), ("broker", "brokers"), ("broker-defaults", "brokers")];
    let shorts: Vec<(&str, &str)> = short.into_iter().filter(|(option, _)| given.has(option)).collect();
    let long = ["entity-type", "entity-name", "entity-default"].into_iter().any(|option| given.has(option));
    match shorts.as_slice() {
        [] => {}
        _ if long => {
            return Err(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags".into()
            );
        }
        [(option, kind)] => return Ok(((*kind).to_owned(), Some(given.text(option)?.unwrap_or_default()))),
        [(_, kind), (_, other), ..] if kind == other => {
            return Err(format!("Duplicate entity type(s) specified: {kind}"));
        }
        _ => return Err("Only 'users' and 'clients' entity types may be specified together".into()),
    }
    let kind = given.text("entity-type")?.ok_or("At least one entity type must be specified")?;
    if !KNOWN.contains(&kind.as_str()) {
        return Err(format!(
            "Invalid entity type {kind}, the entity type must be one of {} with a --bootstrap-server or \
             --bootstrap-controller argument",
            KNOWN.join(", ")
        ));
    }
    if !["topics", "brokers"].contains(&kind.as_str()) {
        return Err(format!("found the entity type `{kind}`, allowed is `topics` or `brokers` here"));
    }
    let name = if given.has("entity-default") { Some(String::new()) } else { given.text("entity-name")? };
    Ok((kind, name))
}

/// `k=v,k2=[a,b]`: a comma in brackets belongs to the value.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut depth = 0_i32;
    let parts = text.split(|letter: char| {
        depth += i32::from(letter == '[') - i32::from(letter == ']');
        letter == ',' && depth <= 0
    });
    let pair = |part: &str| {
        let (key, value) = part.split_once('=')?;
        Some((key.trim().to_owned(), value.replace(['[', ']'], "").trim().to_owned()))
    };
    parts.map(pair).collect::<Option<_>>().ok_or_else(|| {
        "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
         \"key=[val1,val2]\" to group values which contain commas."
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_brackets_belongs_to_the_value() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs("a=1,b=[x,y],c="), Ok(vec![pair("a", "1"), pair("b", "x,y"), pair("c", "")]));
        assert!(pairs("a=1,b").is_err());
    }
}
