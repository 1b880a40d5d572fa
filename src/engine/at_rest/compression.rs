//! Compression: LZ4 blocks, each behind the length of what it holds.

use bytes::Bytes;
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::record::Payload;

const LENGTH: usize = 4;
/// So much longer than a block is what it holds, at most: a byte of a match's length stands for 255.
const MAX_RATIO: usize = 255;
const BROKEN: &str = "its compressed data is broken";

/// When data is compressed, and how much it may be once it is decompressed.
#[derive(Debug)]
pub(crate) struct Compression {
    above: Option<usize>,
    largest: usize,
}

impl Compression {
    /// Compresses data of more than `above` bytes. What is decompressed has `largest` bytes at most.
    pub(crate) fn new(above: Option<usize>, largest: usize) -> Self {
        Self { above, largest }
    }

    /// The data compressed, if that is due and makes it shorter.
    pub(super) fn pack(&self, data: &Payload) -> Option<Payload> {
        let plain = data.bytes();
        if plain.len() <= self.above? {
            return None;
        }
        let length = u32::try_from(plain.len()).ok()?;
        let mut packed = vec![0; LENGTH + get_maximum_output_size(plain.len())];
        packed[..LENGTH].copy_from_slice(&length.to_be_bytes());
        let size = LENGTH + compress_into(plain, &mut packed[LENGTH..]).ok()?;
        if size >= plain.len() {
            return None;
        }
        packed.truncate(size);
        packed.shrink_to_fit();
        Some(Payload::new(Payload::compressed_tag(data.codec()), Bytes::from(packed)))
    }

    /// The data that was compressed. Nothing is allocated for a length that can't be.
    pub(super) fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, &'static str> {
        let (length, block) = packed.split_first_chunk::<LENGTH>().ok_or(BROKEN)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BROKEN)?;
        if length > self.largest {
            return Err("its data would be too large once it is decompressed");
        }
        if length > block.len().saturating_mul(MAX_RATIO) {
            return Err(BROKEN);
        }
        let mut plain = vec![0; length];
        match decompress_into(block, &mut plain) {
            Ok(written) if written == length => Ok(plain),
            _ => Err(BROKEN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMPRESSION: Compression = Compression { above: Some(100), largest: 1 << 20 };

    fn packed(plain: &str) -> Payload {
        COMPRESSION.pack(&Payload::new(1, plain.to_owned())).unwrap()
    }

    #[test]
    fn only_what_is_long_and_gets_shorter_is_compressed() {
        let random: Vec<u8> = (0..100).flat_map(|_| crate::random::bytes::<10>()).collect();
        for (data, is_packed) in [(vec![b'a'; 100], false), (vec![b'a'; 101], true), (random, false)] {
            let packed = COMPRESSION.pack(&Payload::new(1, data.clone()));
            assert_eq!(packed.is_some(), is_packed);
            if let Some(packed) = packed {
                assert!(packed.is_compressed() && packed.bytes().len() < data.len());
                assert_eq!(COMPRESSION.unpack(packed.bytes()).unwrap(), data);
            }
        }
        let never = Compression::new(None, 1 << 20);
        assert!(never.pack(&Payload::new(1, vec![b'a'; 10_000])).is_none());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_allocated() {
        let bomb = packed(&"a".repeat(1 << 20));
        assert!(bomb.bytes().len() < 5000);
        let small = Compression::new(None, (1 << 20) - 1);
        assert!(small.unpack(bomb.bytes()).unwrap_err().contains("too large"));
        let mut lying = bomb.bytes().to_vec();
        for length in [0, 1, (1 << 20) - 1] {
            lying[..LENGTH].copy_from_slice(&u32::to_be_bytes(length));
            assert_eq!(COMPRESSION.unpack(&lying), Err(BROKEN));
        }
        // So few bytes cannot hold so many.
        let mut short = u32::to_be_bytes(1 << 20).to_vec();
        short.extend([0; 100]);
        assert_eq!(COMPRESSION.unpack(&short), Err(BROKEN));
    }

    proptest! {
        #[test]
        fn whatever_is_compressed_comes_back(plain in "[a-c ]{101,600}") {
            if let Some(packed) = COMPRESSION.pack(&Payload::new(1, plain.clone())) {
                prop_assert_eq!(COMPRESSION.unpack(packed.bytes()).unwrap(), plain.as_bytes());
            }
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(plain) = COMPRESSION.unpack(&bytes) {
                prop_assert!(plain.len() <= COMPRESSION.largest);
            }
        }

        #[test]
        fn a_block_that_was_changed_never_panics(at in 0_usize..200, byte in any::<u8>()) {
            let mut bytes = packed(&"one and two and one and three ".repeat(20)).bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = COMPRESSION.unpack(&bytes);
        }
    }
}
