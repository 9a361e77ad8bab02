//! `murmur2` and `coordinator_partition`: which partition a key, or a group, belongs to.

use serde_json::Value;

use super::file::Row;
use super::finding::Findings;
use crate::kafka::partitioner::{
    coordinator_partition as partition_of, java_abs, java_hash_code, murmur2 as hash, partition_for_key,
};

/// A row: `key_hex`, its text if it is one, its hash, and its partition of N.
pub fn murmur2(columns: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let row = Row::new(columns, case)?;
    let key = row.bytes("key_hex")?;
    if let Some(text) = row.find::<Option<String>>("utf8")?.flatten() {
        findings.compare("utf8", &text, &String::from_utf8_lossy(&key).into_owned());
    }
    findings.compare_if("murmur2", row.find("murmur2")?.as_ref(), &hash(&key));
    for (column, of, expected) in row.partitions()? {
        findings.compare(column, &expected, &partition_for_key(&key, of));
    }
    Ok(())
}

/// A row: `id`, its hash in Java, that number's absolute value, and its partition of N.
pub fn coordinator_partition(columns: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let row = Row::new(columns, case)?;
    let id: String = row.get("id")?;
    let hash = java_hash_code(&id);
    findings.compare_if("java_hashcode", row.find("java_hashcode")?.as_ref(), &hash);
    findings.compare_if("abs", row.find("abs")?.as_ref(), &java_abs(hash));
    for (column, of, expected) in row.partitions()? {
        findings.compare(column, &expected, &partition_of(&id, of));
    }
    Ok(())
}
