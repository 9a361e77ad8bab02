//! `kafka-metadata-quorum describe` (`MetadataQuorumCommand`): one question, which a broker passes on to the active
//! controller. A static quorum has no directory ids for its voters; Kafka prints zeros, or leaves them out.

use super::super::error::ErrorCode;
use super::super::ids::Node;
use super::super::message::{DescribeQuorumRequest, DescribeQuorumResponse, QuorumReplica, Request, Response};
use super::command::DescribeQuorum;
use super::print::{exception, seeded_uuid, table};
use super::{Next, Paper, Verdict, Whom};
use crate::time::Instant;

/// `Uuid.ZERO_UUID`.
const NO_DIRECTORY: &str = "AAAAAAAAAAAAAAAAAAAAAA";
/// What ids of the cluster and of log directories are drawn from.
const CLUSTER_STREAM: u64 = 101;
const DIRECTORY_STREAM: u64 = 858;

/// Where the tool is.
#[derive(Clone, Debug)]
pub struct Talk {
    job: DescribeQuorum,
    is_done: bool,
}

impl Talk {
    pub fn new(job: DescribeQuorum) -> Self {
        Self { job, is_done: false }
    }

    pub fn next(&self) -> Next {
        if self.is_done {
            return Next::Finish;
        }
        Next::Ask(Whom::Anyone, Request::DescribeQuorum(DescribeQuorumRequest {}))
    }

    pub fn answer(&mut self, now: Instant, response: Response, paper: &mut Paper) -> Verdict {
        let Response::DescribeQuorum(described) = response else { return Verdict::TryAgain };
        if described.error == ErrorCode::UnsupportedVersion {
            // With ZooKeeper there is no quorum.
            self.is_done = true;
            paper.fail(&format!("{}: The node does not support DESCRIBE_QUORUM", exception(described.error)));
            return Verdict::GoOn;
        }
        // In the middle of an election nobody can tell.
        if described.error != ErrorCode::None {
            return Verdict::TryAgain;
        }
        match self.job {
            DescribeQuorum::Status => print_status(&described, paper),
            DescribeQuorum::Replication { human_readable } => {
                print_replication(&described, human_readable.then_some(now), paper);
            }
        }
        self.is_done = true;
        Verdict::GoOn
    }

    pub fn give_up(&mut self, paper: &mut Paper) {
        self.is_done = true;
        let class = exception(ErrorCode::RequestTimedOut);
        paper.fail(&format!("{class}: Timed out waiting for a node assignment. Call: describeMetadataQuorum"));
    }
}

fn id(replica: &QuorumReplica) -> i32 {
    match replica.replica {
        Node::Controller(id) => id.0,
        Node::Broker(id) => id.0,
        _ => -1,
    }
}

fn leader(described: &DescribeQuorumResponse) -> Option<&QuorumReplica> {
    let leader = Node::Controller(described.leader?);
    described.voters.iter().find(|voter| voter.replica == leader)
}

/// The voters as Kafka lists them, by their id.
fn voters(described: &DescribeQuorumResponse) -> Vec<&QuorumReplica> {
    let mut voters: Vec<&QuorumReplica> = described.voters.iter().collect();
    voters.sort_by_key(|voter| id(voter));
    voters
}

fn print_status(described: &DescribeQuorumResponse, paper: &mut Paper) {
    let Some(leader) = leader(described) else { return };
    let voters = voters(described);
    let Some(slowest) = voters.iter().min_by_key(|voter| voter.log_end) else { return };
    let lag_time = match (leader.last_caught_up_timestamp, slowest.last_caught_up_timestamp) {
        _ if slowest.replica == leader.replica => 0,
        (now, then) if now >= 0 && then >= 0 => now - then,
        _ => -1,
    };
    let voter = |voter: &&QuorumReplica| {
        let id = id(voter);
        format!("{{\"id\": {id}, \"endpoints\": [\"CONTROLLER://controller-{id}:9093\"]}}")
    };
    let observer = |observer: &QuorumReplica| {
        format!("{{\"id\": {}, \"directoryId\": \"{}\"}}", id(observer), directory(observer))
    };
    let voters: Vec<String> = voters.iter().map(voter).collect();
    let observers: Vec<String> = described.observers.iter().map(observer).collect();
    for (label, value) in [
        ("ClusterId:", seeded_uuid(0, CLUSTER_STREAM)),
        ("LeaderId:", id(leader).to_string()),
        ("LeaderEpoch:", described.epoch.to_string()),
        ("HighWatermark:", described.high_watermark.to_string()),
        ("MaxFollowerLag:", (leader.log_end - slowest.log_end).to_string()),
        ("MaxFollowerLagTimeMs:", lag_time.to_string()),
        ("CurrentVoters:", format!("[{}]", voters.join(", "))),
        ("CurrentObservers:", format!("[{}]", observers.join(", "))),
    ] {
        paper.line(&format!("{label:<24}{value}"));
    }
}

/// With the present moment, times are given as how long ago they were.
fn print_replication(described: &DescribeQuorumResponse, ago: Option<Instant>, paper: &mut Paper) {
    let Some(leader) = leader(described) else { return };
    let time = |stamp: i64| match ago {
        _ if stamp < 0 => "-1".to_owned(),
        Some(now) => format!("{} ms ago", now.timestamp_ms() - stamp),
        None => stamp.to_string(),
    };
    let row = |replica: &QuorumReplica, status: &str| {
        vec![
            id(replica).to_string(),
            directory(replica),
            replica.log_end.to_string(),
            (leader.log_end - replica.log_end).to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    };
    let mut rows = vec![row(leader, "Leader")];
    let followers = voters(described).into_iter().filter(|voter| voter.replica != leader.replica);
    rows.extend(followers.map(|voter| row(voter, "Follower")));
    rows.extend(described.observers.iter().map(|observer| row(observer, "Observer")));
    let headers =
        ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];
    paper.text.push_str(&table(&headers, &rows));
}

fn directory(replica: &QuorumReplica) -> String {
    match replica.replica {
        Node::Broker(id) => seeded_uuid(id.0 as u64, DIRECTORY_STREAM),
        _ => NO_DIRECTORY.to_owned(),
    }
}
