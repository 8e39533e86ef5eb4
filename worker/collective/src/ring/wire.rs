//! Operation headers as bytes: fixed length, little-endian.

use crate::collective::OpTag;
use crate::element::{Dtype, ReduceOp};
use crate::operation::Header;

/// Marks the beginning of an operation, so that a stream that slipped is noticed.
const MAGIC: u32 = 0x6d67_4f43;

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 48;

const MAGIC_AT: usize = 0;
const DTYPE_AT: usize = 4;
const OP_AT: usize = 5;
const PHASE_AT: usize = 6;
const BUCKET_AT: usize = 8;
const SEQUENCE_AT: usize = 16;
const GENERATION_AT: usize = 24;
const STEP_AT: usize = 32;
const ELEMENTS_AT: usize = 40;

/// The bytes of `header`.
pub(super) fn encode(header: &Header) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(MAGIC_AT, &MAGIC.to_le_bytes());
    put(DTYPE_AT, &[dtype_code(header.dtype)]);
    put(OP_AT, &[op_code(header.op)]);
    put(PHASE_AT, &[header.tag.phase]);
    put(BUCKET_AT, &header.tag.bucket.to_le_bytes());
    put(SEQUENCE_AT, &header.sequence.to_le_bytes());
    put(GENERATION_AT, &header.tag.generation.to_le_bytes());
    put(STEP_AT, &header.tag.step.to_le_bytes());
    put(ELEMENTS_AT, &header.elements.to_le_bytes());
    bytes
}

/// The header in `bytes`.
///
/// # Errors
/// What is in its place.
pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, String> {
    let magic = u32::from_le_bytes(array(bytes, MAGIC_AT));
    if magic != MAGIC {
        return Err(format!(
            "bytes that begin with {magic:#010x} instead of {MAGIC:#010x}"
        ));
    }
    let dtype = [Dtype::F32, Dtype::I32, Dtype::I64]
        .into_iter()
        .find(|dtype| dtype_code(*dtype) == bytes[DTYPE_AT]);
    let op = [ReduceOp::Sum, ReduceOp::Min, ReduceOp::Max]
        .into_iter()
        .find(|op| op_code(*op) == bytes[OP_AT]);
    Ok(Header {
        sequence: u64::from_le_bytes(array(bytes, SEQUENCE_AT)),
        tag: OpTag {
            generation: u64::from_le_bytes(array(bytes, GENERATION_AT)),
            step: u64::from_le_bytes(array(bytes, STEP_AT)),
            phase: bytes[PHASE_AT],
            bucket: u32::from_le_bytes(array(bytes, BUCKET_AT)),
        },
        dtype: dtype
            .ok_or_else(|| format!("an operation of unknown number type {}", bytes[DTYPE_AT]))?,
        op: op.ok_or_else(|| format!("an unknown operation {}", bytes[OP_AT]))?,
        elements: u64::from_le_bytes(array(bytes, ELEMENTS_AT)),
    })
}

fn array<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

fn dtype_code(dtype: Dtype) -> u8 {
    match dtype {
        Dtype::F32 => 1,
        Dtype::I32 => 2,
        Dtype::I64 => 3,
    }
}

fn op_code(op: ReduceOp) -> u8 {
    match op {
        ReduceOp::Sum => 1,
        ReduceOp::Min => 2,
        ReduceOp::Max => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let tag = OpTag {
            generation: 1 << 40,
            step: 2,
            phase: 3,
            bucket: 1 << 20,
        };
        Header {
            sequence: 5,
            tag,
            dtype: Dtype::I64,
            op: ReduceOp::Max,
            elements: 1 << 33,
        }
    }

    #[test]
    fn a_header_survives_the_wire() {
        assert_eq!(decode(&encode(&header())), Ok(header()));
    }

    #[test]
    fn bytes_that_are_no_header_are_named() {
        let refused = |at: usize| {
            let mut bytes = encode(&header());
            bytes[at] = 0xee;
            decode(&bytes).unwrap_err()
        };
        assert!(refused(MAGIC_AT).contains("begin with"));
        assert!(refused(DTYPE_AT).contains("number type 238"));
        assert!(refused(OP_AT).contains("unknown operation 238"));
    }
}
