//! Groups by the seed: who reads, by which protocol, and how patient everybody is.
//!
//! A group has one protocol, and what its members must agree on they agree on; whatever Kafka lets each member choose for
//! itself is drawn for each: its topics, when it commits, whether it is a static member, how long it may be silent.

use std::fmt::Write;

use super::{one_of, pick};
use crate::rng::Rng;

/// What brokers are told about groups: deadlines that a run of a minute sees pass, as settings of a scenario file.
pub(super) fn broker_settings(rng: &mut Rng) -> String {
    format!(
        ", \"group.consumer.min.session.timeout.ms\" = 1000, \"group.consumer.min.heartbeat.interval.ms\" = 100, \
         \"group.consumer.session.timeout.ms\" = {}, \"group.consumer.heartbeat.interval.ms\" = {}, \
         \"group.consumer.assignment.interval.ms\" = {}, \"share.auto.offset.reset\" = \"earliest\", \
         \"group.share.session.timeout.ms\" = {}, \"group.share.record.lock.duration.ms\" = {}, \
         \"group.share.delivery.count.limit\" = {}",
        one_of(rng, &[4_000, 6_000, 10_000, 45_000]),
        one_of(rng, &[500, 1_000, 2_000]),
        one_of(rng, &[0, 0, 1_000]),
        one_of(rng, &[4_000, 10_000, 45_000]),
        one_of(rng, &[1_000, 3_000, 30_000]),
        one_of(rng, &[2, 5]),
    )
}

/// How the members of one group are made.
struct GroupDraw {
    name: &'static str,
    by_coordinator: bool,
    strategy: Option<&'static str>,
    remote_assignor: Option<&'static str>,
    is_static: bool,
    reset: &'static str,
    session: u64,
    max_poll: u64,
}

/// The default of `heartbeat.interval.ms`.
const HEARTBEAT_INTERVAL: u64 = 3_000;

/// One or two groups that read these topics, and a share group now and then.
pub(super) fn groups(rng: &mut Rng, topics: &[&str], text: &mut String) {
    group(rng, "g", 0, topics, text);
    if rng.chance(1, 4) {
        group(rng, "h", 10, topics, text);
    }
    if rng.chance(1, 5) {
        share_group(rng, topics, text);
    }
}

fn share_group(rng: &mut Rng, topics: &[&str], text: &mut String) {
    for number in 20..20 + rng.between(2, 4) {
        let _ = write!(
            text,
            "\n[[consumer]]\nname = \"c{number}\"\ntype = \"share\"\ngroup = \"s\"\ntopics = [\"{}\"]\nwork = \"{}ms\"\n\
             start = \"{}ms\"\nconfig = {{ \"max.poll.records\" = {}, \"share.acquire.mode\" = \"{}\" }}\n",
            pick(rng, topics),
            one_of(rng, &[0, 5, 50, 400]),
            one_of(rng, &[0, 500, 4_000]),
            one_of(rng, &[1, 10, 500]),
            pick(rng, &["batch_optimized", "record_limit"]),
        );
    }
}

fn group(rng: &mut Rng, name: &'static str, first: u64, topics: &[&str], text: &mut String) {
    // The classic one's default is range, with cooperative sticky beside it.
    let strategies = [
        None,
        Some("range"),
        Some("roundrobin"),
        Some("sticky"),
        Some("cooperative-sticky"),
        Some("cooperative-sticky"),
        Some("cooperative-sticky,range"),
    ];
    let group = GroupDraw {
        name,
        by_coordinator: rng.chance(2, 5),
        strategy: *pick(rng, &strategies),
        remote_assignor: *pick(rng, &[None, None, Some("uniform"), Some("range")]),
        is_static: rng.chance(1, 4),
        reset: if rng.chance(1, 10) { "latest" } else { "earliest" },
        session: one_of(rng, &[6_000, 6_000, 10_000, 45_000]),
        max_poll: one_of(rng, &[3_000, 8_000, 8_000, 300_000]),
    };
    for number in first..first + rng.between(1, 4) {
        member(rng, &group, number, topics, text);
    }
}

fn member(rng: &mut Rng, group: &GroupDraw, number: u64, topics: &[&str], text: &mut String) {
    let mut config = format!(
        "\"auto.offset.reset\" = \"{}\", \"max.poll.interval.ms\" = {}, \"max.poll.records\" = {}, \
         \"isolation.level\" = \"{}\"",
        group.reset,
        group.max_poll,
        one_of(rng, &[1, 10, 500]),
        pick(rng, &["read_uncommitted", "read_committed"]),
    );
    if group.by_coordinator {
        config.push_str(", \"group.protocol\" = \"consumer\"");
        if let Some(name) = group.remote_assignor {
            let _ = write!(config, ", \"group.remote.assignor\" = \"{name}\"");
        }
    } else {
        let _ = write!(config, ", \"session.timeout.ms\" = {}", group.session);
        if group.max_poll <= HEARTBEAT_INTERVAL {
            // Who hears of a rebalance by a heartbeat only when its time is up takes turns with the others for ever.
            let _ = write!(config, ", \"heartbeat.interval.ms\" = {}", group.max_poll / 6);
        }
        if let Some(names) = group.strategy {
            let _ = write!(config, ", \"partition.assignment.strategy\" = \"{names}\"");
        }
    }
    if group.is_static {
        let _ = write!(config, ", \"group.instance.id\" = \"i{number}\"");
    }
    let commit = pick(rng, &["none", "none", "sync", "async"]);
    if *commit == "none" {
        let _ = write!(config, ", \"auto.commit.interval.ms\" = {}", one_of(rng, &[500, 1_000, 5_000]));
    } else {
        config.push_str(", \"enable.auto.commit\" = false");
    }
    let wanted: Vec<String> = topics.iter().filter(|_| rng.chance(4, 5)).map(|topic| format!("\"{topic}\"")).collect();
    let wanted = if wanted.is_empty() { format!("\"{}\"", topics[0]) } else { wanted.join(", ") };
    let _ = write!(
        text,
        "\n[[consumer]]\nname = \"c{number}\"\ngroup = \"{}\"\ntopics = [{wanted}]\nwork = \"{}ms\"\ncommit = \
         \"{commit}\"\nstart = \"{}ms\"\nconfig = {{ {config} }}\n",
        group.name,
        rng.between(0, 4),
        one_of(rng, &[0, 0, 500, 4_000, 9_000]),
    );
}
