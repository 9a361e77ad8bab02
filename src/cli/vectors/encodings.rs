//! `crc32c` and `varint`: the encodings that record batches are made of.

use serde_json::Value;

use super::file::{Row, hex};
use super::finding::Findings;
use crate::kafka::record::checksum;
use crate::kafka::varint::{read_uvarint, read_varint, read_varlong, write_uvarint, write_varint, write_varlong};

/// A row: `data_hex`, `crc32c_hex`.
pub fn crc32c(columns: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let row = Row::new(columns, case)?;
    let data = row.bytes("data_hex")?;
    let expected: String = row.get("crc32c_hex")?;
    findings.compare("crc32c_hex", &expected.to_lowercase(), &format!("{:08x}", checksum(&[&data])));
    Ok(())
}

/// A row: the kind of number, its value, its bytes. It is written and read.
pub fn varint(columns: &[String], case: &Value, findings: &mut Findings) -> Result<(), String> {
    let row = Row::new(columns, case)?;
    let kind: String = row.get("kind")?;
    let value = integer(&row.get("value")?)?;
    let bytes = row.bytes("hex")?;
    let too_large = |_| format!("`value`: {value} is no {kind}");

    let mut written = Vec::new();
    let mut rest = bytes.as_slice();
    let (expected, read) = match kind.as_str() {
        "varint" => {
            let value = i32::try_from(value).map_err(too_large)?;
            write_varint(&mut written, value);
            (i64::from(value), read_varint(&mut rest).map(i64::from))
        }
        "varlong" => {
            write_varlong(&mut written, value);
            (value, read_varlong(&mut rest))
        }
        "uvarint" => {
            // Java has no unsigned numbers: the same 32 bits are written with a sign as well.
            let value =
                u32::try_from(value).or_else(|_| i32::try_from(value).map(i32::cast_unsigned)).map_err(too_large)?;
            write_uvarint(&mut written, value);
            (i64::from(value), read_uvarint(&mut rest).map(i64::from))
        }
        _ => return Err(format!("`kind`: no number is encoded as `{kind}`")),
    };
    findings.compare("written", &hex(&bytes), &hex(&written));
    // What is left over would be read as the next field.
    let read = read.filter(|_| rest.is_empty()).map_or_else(|| "nothing".to_owned(), |value| value.to_string());
    findings.compare("read", &expected.to_string(), &read);
    Ok(())
}

/// A number, which may be written as a text: JSON readers of other languages lose digits of large ones.
fn integer(cell: &Value) -> Result<i64, String> {
    let number = cell.as_str().map_or_else(|| cell.as_i64(), |text| text.parse().ok());
    number.ok_or_else(|| format!("`value`: {cell} is no whole number of 64 bits"))
}
