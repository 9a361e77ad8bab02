//! `kafka-configs` (`ConfigCommand`), for topics and brokers.
//!
//! What we leave out: groups, users, clients, IP addresses, client metrics and loggers, none of which has settings here.

use std::collections::VecDeque;

use super::super::error::ErrorCode;
use super::super::ids::Name;
use super::super::message::{
    ConfigEntity, ConfigSource, DescribeConfigsRequest, DescribedConfig, IncrementalAlterConfigsRequest,
    MetadataRequest, MetadataResponse, Request, Response, TopicResult,
};
use super::command::{AlterConfigs, Configs, Entity};
use super::print::exception;
use super::{Next, Paper, Verdict, Whom};

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: Configs,
    /// As they were given: an error repeats them.
    arguments: String,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Alter,
    /// Which topics and brokers there are.
    Look,
    /// These are still to be described.
    Describe(VecDeque<ConfigEntity>),
    Done,
}

impl Talk {
    pub fn new(job: Configs, arguments: &[String]) -> Self {
        let stage = if matches!(job, Configs::Alter(_)) { Stage::Alter } else { Stage::Look };
        Self { job, arguments: arguments.join(" "), stage }
    }

    pub fn next(&mut self) -> Next {
        let request = match (&self.stage, &self.job) {
            (Stage::Alter, Configs::Alter(alter)) => Request::IncrementalAlterConfigs(alter_request(alter)),
            (Stage::Look, _) => Request::Metadata(MetadataRequest { topics: None, allow_auto_topic_creation: false }),
            (Stage::Describe(left), _) => match left.front() {
                Some(entity) => {
                    let request = Request::DescribeConfigs(DescribeConfigsRequest { entity: entity.clone() });
                    // A broker's own settings are known to itself alone.
                    let whom = if let ConfigEntity::Broker(id) = entity { Whom::Broker(*id) } else { Whom::Anyone };
                    return Next::Ask(whom, request);
                }
                None => return Next::Finish,
            },
            _ => return Next::Finish,
        };
        Next::Ask(Whom::Anyone, request)
    }

    pub fn answer(&mut self, response: Response, paper: &mut Paper) -> Verdict {
        match response {
            Response::IncrementalAlterConfigs(altered) => {
                let again = |result: &TopicResult| {
                    matches!(result.error, ErrorCode::NotController | ErrorCode::RequestTimedOut)
                };
                if altered.results.iter().any(again) {
                    return Verdict::TryAgain;
                }
                self.stage = Stage::Done;
                self.print_altered(&altered.results, paper);
                Verdict::GoOn
            }
            Response::Metadata(metadata) => {
                self.look(&metadata, paper);
                Verdict::GoOn
            }
            Response::DescribeConfigs(described) => {
                let Stage::Describe(left) = &mut self.stage else { return Verdict::TryAgain };
                let Some(entity) = left.pop_front() else { return Verdict::GoOn };
                match described.error {
                    ErrorCode::None => self.print_described(&entity, &described.configs, paper),
                    error => {
                        self.stage = Stage::Done;
                        self.fail(error, described.message.as_deref().unwrap_or_default(), paper);
                    }
                }
                Verdict::GoOn
            }
            _ => Verdict::TryAgain,
        }
    }

    /// What is there to describe; a thing that is named and not there is said to have nothing.
    fn look(&mut self, metadata: &MetadataResponse, paper: &mut Paper) {
        let Configs::Describe { entity, all } = &self.job else { return };
        let topics = || metadata.topics.iter().filter(|topic| topic.error.is_none());
        let missing = match entity {
            Entity::Topic(name) if !all && !topics().any(|topic| *topic.name == **name) => {
                Some(("topic", name.clone()))
            }
            Entity::Broker(id) if !all && !metadata.brokers.iter().any(|(known, _)| known == id) => {
                Some(("broker", id.to_string()))
            }
            _ => None,
        };
        if let Some((kind, name)) = missing {
            paper.line(&format!("The {kind} '{name}' doesn't exist and doesn't have dynamic config."));
            self.stage = Stage::Done;
            return;
        }
        let entities: Vec<ConfigEntity> = match entity {
            Entity::Topic(name) => vec![ConfigEntity::Topic(name.as_str().into())],
            Entity::Broker(id) => vec![ConfigEntity::Broker(*id)],
            Entity::BrokerDefaults => vec![ConfigEntity::Brokers],
            Entity::Topics => topics().map(|topic| ConfigEntity::Topic(topic.name.clone())).collect(),
            Entity::Brokers => {
                let brokers = metadata.brokers.iter().map(|(id, _)| ConfigEntity::Broker(*id));
                brokers.chain([ConfigEntity::Brokers]).collect()
            }
        };
        self.stage = Stage::Describe(entities.into());
    }

    fn print_altered(&self, results: &[TopicResult], paper: &mut Paper) {
        let Configs::Alter(alter) = &self.job else { return };
        if let Some(failed) = results.iter().find(|result| !result.error.is_none()) {
            let message = failed.message.as_deref().unwrap_or_else(|| failed.error.name());
            return self.fail(failed.error, message, paper);
        }
        paper.line(&match &alter.entity {
            Entity::Topic(topic) => format!("Completed updating config for topic {topic}."),
            Entity::Broker(id) => format!("Completed updating config for broker {id}."),
            _ => "Completed updating default config for brokers in the cluster.".into(),
        });
    }

    fn print_described(&self, entity: &ConfigEntity, configs: &[DescribedConfig], paper: &mut Paper) {
        let all = matches!(self.job, Configs::Describe { all: true, .. });
        let kind = if all { "All" } else { "Dynamic" };
        let (title, source) = match entity {
            ConfigEntity::Topic(name) => (format!("{kind} configs for topic {name} are:"), ConfigSource::DynamicTopic),
            ConfigEntity::Broker(id) => (format!("{kind} configs for broker {id} are:"), ConfigSource::DynamicBroker),
            ConfigEntity::Brokers => {
                ("Default configs for brokers in the cluster are:".into(), ConfigSource::DynamicDefaultBroker)
            }
        };
        paper.line(&title);
        for config in configs.iter().filter(|config| all || config.source == source) {
            let synonym =
                |(source, name, value): &(ConfigSource, Name, Name)| format!("{}:{name}={value}", source.name());
            let synonyms: Vec<String> = config.synonyms.iter().map(synonym).collect();
            paper.line(&format!(
                "  {}={} sensitive=false synonyms={{{}}}",
                config.name,
                config.value,
                synonyms.join(", ")
            ));
        }
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        let call = match self.stage {
            Stage::Alter => "incrementalAlterConfigs",
            Stage::Look => "listTopics",
            Stage::Describe(_) | Stage::Done => "describeConfigs",
        };
        let reason = format!("Timed out waiting for a node assignment. Call: {call}");
        self.fail(ErrorCode::RequestTimedOut, &reason, paper);
    }

    fn fail(&self, error: ErrorCode, message: &str, paper: &mut Paper) {
        paper.line(&format!("Error while executing config command with args '{}'", self.arguments));
        paper.fail(&format!("java.util.concurrent.ExecutionException: {}: {message}", exception(error)));
    }
}

fn alter_request(alter: &AlterConfigs) -> IncrementalAlterConfigsRequest {
    let settings = alter.settings.iter();
    let settings = settings.map(|(key, value)| (Name::from(key.as_str()), value.as_deref().map(Name::from)));
    let mut request = IncrementalAlterConfigsRequest { topics: Vec::new(), cluster: Vec::new(), brokers: Vec::new() };
    match &alter.entity {
        Entity::Topic(topic) => {
            request.topics = settings.map(|(key, value)| (topic.as_str().into(), key, value)).collect();
        }
        Entity::Broker(id) => request.brokers = settings.map(|(key, value)| (*id, key, value)).collect(),
        _ => request.cluster = settings.collect(),
    }
    request
}
