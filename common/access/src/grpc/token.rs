//! What stands in the metadata of a call and its answer.

use crate::key::ClusterKey;
use crate::proof::{NONCE_BYTES, Nonce, keyed};

use super::MAX_CLOCK_DIFFERENCE;

/// The first word of either; another one comes with another way of proving.
const VERSION: &str = "v1";

const PROOF_BYTES: usize = 32;

/// Why a call is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "no proof of the cluster key came with the call: start what makes it with the --cluster-key FILE of this cluster"
    )]
    Missing,
    #[error(
        "the proof of the cluster key is malformed: run the same version of Convoy on both ends"
    )]
    Malformed,
    #[error(
        "the cluster key of the caller is not the one of this cluster: give both ends the same --cluster-key FILE"
    )]
    WrongKey,
    #[error(
        "the caller's clock is {apart} s {direction} this one's, at most {} s are allowed: set the clocks of both hosts (NTP)",
        MAX_CLOCK_DIFFERENCE.as_secs()
    )]
    Clock { apart: u64, direction: &'static str },
}

/// A call's proof, of which the answer's is made.
#[derive(Clone, Copy)]
pub(super) struct CallProof(blake3::Hash);

/// What goes with a call of `method`, the path of its URI, and what its answer must prove.
pub(super) fn call(
    key: &ClusterKey,
    method: &str,
    seconds: u64,
    nonce: Nonce,
) -> (String, CallProof) {
    let proof = call_proof(key, method, seconds, &nonce);
    let mut token = format!("{VERSION}:{seconds}:");
    put_hex(&mut token, &nonce.0);
    token.push(':');
    token.push_str(proof.0.to_hex().as_str());
    (token, proof)
}

/// Checks what came with a call of `method`.
///
/// # Errors
/// Why it is not let in. The clocks are only compared, and told of, once the key is known to be right.
pub(super) fn check_call(
    key: &ClusterKey,
    method: &str,
    token: Option<&str>,
    now: u64,
) -> Result<CallProof, Refusal> {
    let token = token.ok_or(Refusal::Missing)?;
    let (seconds, nonce, given) = parse_call(token).ok_or(Refusal::Malformed)?;
    let proof = call_proof(key, method, seconds, &nonce);
    // In constant time.
    if proof.0 != given {
        return Err(Refusal::WrongKey);
    }
    let apart = now.abs_diff(seconds);
    if apart > MAX_CLOCK_DIFFERENCE.as_secs() {
        let direction = if seconds > now { "ahead of" } else { "behind" };
        return Err(Refusal::Clock { apart, direction });
    }
    Ok(proof)
}

/// What goes with the answer to a call.
pub(super) fn answer(key: &ClusterKey, call: CallProof) -> String {
    format!("{VERSION}:{}", answer_proof(key, call).to_hex())
}

/// Whether an answer comes from someone who knows the key.
pub(super) fn is_answer(key: &ClusterKey, call: CallProof, token: Option<&str>) -> bool {
    let given = token
        .and_then(|token| token.split_once(':'))
        .filter(|(version, _)| *version == VERSION)
        .and_then(|(_, proof)| blake3::Hash::from_hex(proof).ok());
    // In constant time.
    given.is_some_and(|given| given == answer_proof(key, call))
}

fn call_proof(key: &ClusterKey, method: &str, seconds: u64, nonce: &Nonce) -> CallProof {
    let seconds = seconds.to_le_bytes();
    let parts: [&[u8]; 4] = [b"call", method.as_bytes(), &seconds, &nonce.0];
    CallProof(keyed(&key.keys().calls, parts.into_iter()))
}

fn answer_proof(key: &ClusterKey, call: CallProof) -> blake3::Hash {
    let parts: [&[u8]; 2] = [b"answer", call.0.as_bytes()];
    keyed(&key.keys().calls, parts.into_iter())
}

fn parse_call(token: &str) -> Option<(u64, Nonce, blake3::Hash)> {
    let mut words = token.split(':');
    let (version, seconds, nonce, proof) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    if version != VERSION || words.next().is_some() {
        return None;
    }
    let mut bytes = [0; NONCE_BYTES];
    take_hex(&mut bytes, nonce)?;
    let proof = blake3::Hash::from_hex(proof).ok()?;
    Some((seconds.parse().ok()?, Nonce(bytes), proof))
}

fn put_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn take_hex(bytes: &mut [u8; PROOF_BYTES], text: &str) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: &str = "/convoy.v1.Jobs/Submit";
    const NOW: u64 = 1_800_000_000;

    fn key(first: u8) -> ClusterKey {
        let secret: [u8; 32] = std::array::from_fn(|at| first.wrapping_add(at as u8));
        ClusterKey::new(&secret).unwrap()
    }

    fn token() -> String {
        call(&key(1), METHOD, NOW, Nonce([7; NONCE_BYTES])).0
    }

    fn check(token: &str, now: u64) -> Result<(), Refusal> {
        check_call(&key(1), METHOD, Some(token), now).map(drop)
    }

    #[test]
    fn fresh_proof_is_let_in_and_a_stale_one_is_told_the_time() {
        assert_eq!(check(&token(), NOW), Ok(()));
        assert_eq!(check(&token(), NOW + 300), Ok(()));
        assert_eq!(check(&token(), NOW - 300), Ok(()));
        let behind = check(&token(), NOW + 301).unwrap_err().to_string();
        assert!(behind.contains("301 s behind this one's"), "{behind}");
        let ahead = check(&token(), NOW - 301).unwrap_err().to_string();
        assert!(ahead.contains("301 s ahead of this one's"), "{ahead}");
    }

    #[test]
    fn proof_of_another_key_method_time_or_nonce_is_refused() {
        let other_key = call(&key(2), METHOD, NOW, Nonce([7; NONCE_BYTES])).0;
        assert_eq!(check(&other_key, NOW), Err(Refusal::WrongKey));
        let other_method = call(
            &key(1),
            "/convoy.v1.Jobs/Cancel",
            NOW,
            Nonce([7; NONCE_BYTES]),
        )
        .0;
        assert_eq!(check(&other_method, NOW), Err(Refusal::WrongKey));
        let later = token().replace("1800000000", "1800000100");
        assert_eq!(check(&later, NOW), Err(Refusal::WrongKey));
        let other_nonce = token().replace("0707", "0807");
        assert_eq!(check(&other_nonce, NOW), Err(Refusal::WrongKey));
    }

    #[test]
    fn strangers_with_a_wrong_clock_learn_nothing_of_ours() {
        let stranger = call(&key(2), METHOD, 0, Nonce([7; NONCE_BYTES])).0;
        assert_eq!(check(&stranger, NOW), Err(Refusal::WrongKey));
    }

    #[test]
    fn what_is_no_proof_is_refused_without_a_panic() {
        assert_eq!(
            check_call(&key(1), METHOD, None, NOW).err(),
            Some(Refusal::Missing)
        );
        let good = token();
        let others = [
            "",
            "v1",
            "v1:::",
            "v2:1800000000:00:00",
            "v1:-1:00:00",
            &good.replace("v1", "v2"),
            &good[..good.len() - 1],
            &format!("{good}:"),
            &good.replace("07", "0x"),
            &good.replace("07", "é"),
            &good.replace("1800000000", "99999999999999999999999"),
        ];
        for malformed in others {
            assert_eq!(
                check(malformed, NOW),
                Err(Refusal::Malformed),
                "{malformed}"
            );
        }
    }

    #[test]
    fn answer_proves_the_key_for_this_call_alone() {
        let nonce = |byte| Nonce([byte; NONCE_BYTES]);
        let (_, first) = call(&key(1), METHOD, NOW, nonce(1));
        let (_, second) = call(&key(1), METHOD, NOW, nonce(2));
        let given = answer(&key(1), first);
        assert!(is_answer(&key(1), first, Some(&given)));
        assert!(!is_answer(&key(1), second, Some(&given)));
        assert!(!is_answer(&key(2), first, Some(&given)));
        for none in [None, Some(""), Some("v1:"), Some("v1:00")] {
            assert!(!is_answer(&key(1), first, none));
        }
        let echoed = format!("v1:{}", first.0.to_hex());
        assert!(!is_answer(&key(1), first, Some(&echoed)), "an echo");
    }
}
