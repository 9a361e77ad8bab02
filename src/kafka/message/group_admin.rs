//! What administrators ask of a group coordinator, besides descriptions: deletion of groups and of offsets.

use super::ErrorCode;
use crate::kafka::ids::Name;

#[derive(Clone, Debug)]
pub struct DeleteGroupsRequest {
    pub groups: Vec<Name>,
}

#[derive(Clone, Debug)]
pub struct DeleteGroupsResponse {
    /// In the order asked for.
    pub results: Vec<(Name, ErrorCode)>,
}

#[derive(Clone, Debug)]
pub struct OffsetDeleteRequest {
    pub group: Name,
    /// Topic and partition.
    pub partitions: Vec<(Name, u32)>,
}

#[derive(Clone, Debug)]
pub struct OffsetDeleteResponse {
    /// Of the whole request; then there are no partitions.
    pub error: ErrorCode,
    pub partitions: Vec<(Name, u32, ErrorCode)>,
}
